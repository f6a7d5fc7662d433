#include "bindings/learner_arguments.h"

#include "bindings/object_reader.h"

namespace alignlab {

namespace {

DiscriminatorSettings ReadDiscriminators(const Napi::Object& o) {
  return {Wholes(o, "hidden"), Whole(o, "batch"),     Real(o, "learningRate"),
          Real(o, "noise"),    Real(o, "logitScale"), Flag(o, "normalize")};
}

H2oSettings ReadH2o(const Napi::Object& o) {
  H2oSettings h;
  h.importance = Flag(o, "importanceWeights");
  h.adaptive = Flag(o, "adaptiveGap");
  h.penalty = Flag(o, "penalty");
  h.linear = Flag(o, "linear");
  h.beta = Real(o, "beta");
  h.next_samples = Whole(o, "nextSamples");
  h.next_spread = NextSpread(Whole(o, "nextSpread"));
  h.ratio_low = Real(o, "ratioLow");
  h.ratio_high = Real(o, "ratioHigh");
  h.gap_high = Real(o, "gapHigh");
  h.difference_limit = Real(o, "differenceLimit");
  return h;
}

template <class Array>
Array Sized(const Napi::Object& o, const char* key, int64_t elements) {
  const auto array = o.Get(key).As<Array>();
  Check(int64_t(array.ElementLength()) == elements, key);
  return array;
}

}  // namespace

ControlSettings ReadLearnerSettings(const Napi::Object& o) {
  ControlSettings s;
  s.algorithm = ControlAlgorithm(Whole(o, "algorithm"));
  s.state_size = Whole(o, "obsDim");
  s.action_size = Whole(o, "actDim");
  s.hidden = Wholes(o, "hidden");
  s.batch = Whole(o, "batch");
  s.real_rows = Whole(o, "realRows");
  s.policy_rate = Real(o, "policyLearningRate");
  s.critic_rate = Real(o, "criticLearningRate");
  s.alpha_rate = Real(o, "alphaLearningRate");
  s.discount = Real(o, "gamma");
  s.target_rate = Real(o, "tau");
  s.backup_entropy = Flag(o, "backupEntropy");
  s.train_alpha = Flag(o, "trainAlpha");
  s.target_entropy = Real(o, "targetEntropy");
  s.initial_alpha = Real(o, "initialAlpha");
  s.darc_clip = Real(o, "darcClip");
  s.discriminators = ReadDiscriminators(o.Get("discriminators").As<Napi::Object>());
  s.h2o = ReadH2o(o.Get("h2o").As<Napi::Object>());
  const auto cql = o.Get("cql").As<Napi::Object>();
  s.cql = {Real(cql, "weight"), Real(cql, "temperature"), Whole(cql, "actions")};
  s.sim_capacity = Whole(o, "simCapacity");
  const auto seeds = o.Get("seeds").As<Napi::BigUint64Array>();
  s.seeds.assign(seeds.Data(), seeds.Data() + seeds.ElementLength());
  Check(!s.seeds.empty() && !s.hidden.empty() && s.batch > 0 && s.real_rows <= s.batch &&
            int64_t(s.hidden.size()) < kMaxLayers &&
            int64_t(s.discriminators.hidden.size()) < kMaxLayers,
        "learner settings");
  return s;
}

TransitionColumns ReadTransitions(const Napi::Value& value, const ControlSettings& s) {
  const auto o = value.As<Napi::Object>();
  const int64_t n = Whole(o, "n");
  return {Sized<Napi::Float32Array>(o, "obs", n * s.state_size).Data(),
          Sized<Napi::Float32Array>(o, "act", n * s.action_size).Data(),
          Sized<Napi::Float32Array>(o, "rew", n).Data(),
          Sized<Napi::Float32Array>(o, "next", n * s.state_size).Data(),
          Sized<Napi::Uint8Array>(o, "done", n).Data(),
          n};
}

}  // namespace alignlab
