#include "bindings/learner_object.h"

#include <cstring>

#include "bindings/js_error.h"
#include "bindings/learner_arguments.h"

namespace alignlab {

namespace {

std::unique_ptr<Lanes> LanesOf(Engine& engine, const Backend* own) {
  if (own) return std::make_unique<SingleLane>(own->device);
  return std::make_unique<CpuLanes>(engine.pool());
}

}  // namespace

LearnerObject::Held::Held(Engine& engine, int device, ControlSettings settings,
                          const TransitionColumns& real)
    : own(device < 0 ? nullptr : engine.OpenApart(device)),
      lanes(LanesOf(engine, own.get())),
      learner(own ? *own : engine.backend(), own ? own->device : &single, std::move(settings),
              real) {}

Napi::Function LearnerObject::Define(Napi::Env env) {
  using L = LearnerObject;
  return DefineClass(
      env, "NativeLearner",
      {InstanceMethod<&L::Push>("push"), InstanceMethod<&L::Update>("update"),
       InstanceMethod<&L::Act>("act"), InstanceMethod<&L::Inspect>("inspect"),
       InstanceMethod<&L::Read>("read"), InstanceMethod<&L::Size>("size"),
       InstanceMethod<&L::Parameters>("parameters"), InstanceMethod<&L::State>("state"),
       InstanceMethod<&L::Restore>("restore"), InstanceMethod<&L::Bytes>("bytes"),
       InstanceMethod<&L::Dispose>("dispose"), InstanceAccessor<&L::GetStep>("step")});
}

LearnerObject::LearnerObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  Guarded(env, [&] {
    ControlSettings settings = ReadLearnerSettings(info[0].As<Napi::Object>());
    const TransitionColumns real = ReadTransitions(info[1], settings);
    engine_ = Engine::Of(env);
    const int device = info[2].ToNumber().Int32Value();
    held_ = std::make_shared<Held>(*engine_, device, std::move(settings), real);
    Account(env);
  });
}

LearnerObject::Held& LearnerObject::Use() const {
  if (!held_) throw Error("DISPOSED", "This learner has been disposed. Create it again.");
  return *held_;
}

ControlLearner& LearnerObject::AtRest() const {
  Held& held = Use();
  if (held.updates > 0)
    throw Error("OPTION_INVALID",
                "An update() of this learner is still under way, and its networks and "
                "transitions are in use. Wait for its promise first.");
  return held.learner;
}

int64_t LearnerObject::Member(const Napi::Value& value, bool real_too) const {
  const int64_t member = value.ToNumber().Int64Value();
  Check(member >= (real_too ? -1 : 0) && member < Use().learner.members(), "member");
  return member;
}

// Tells the garbage collector what the learner holds by now.
void LearnerObject::Account(Napi::BasicEnv env) {
  const int64_t now = held_ ? int64_t(held_->learner.bytes()) : 0;
  Napi::MemoryManagement::AdjustExternalMemory(env, now - external_);
  external_ = now;
}

void LearnerObject::Release(Napi::BasicEnv env) {
  if (held_) engine_->executor().Discard(std::move(held_));
  Account(env);
}
void LearnerObject::Dispose(const Napi::CallbackInfo& info) { Release(info.Env()); }
void LearnerObject::Finalize(Napi::BasicEnv env) { Release(env); }

Napi::Value LearnerObject::Push(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    ControlLearner& learner = AtRest();
    learner.Push(Member(info[0]), ReadTransitions(info[1], learner.settings()));
    Account(info.Env());
    return info.Env().Undefined();
  });
}

Napi::Value LearnerObject::Update(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    AtRest();
    // Counted out when the work and this share of it are gone, on the JavaScript thread.
    ++held_->updates;
    std::shared_ptr<Held> busy(held_.get(), [held = held_](Held*) { --held->updates; });
    return engine_->executor().Submit(
        env,
        [held = held_, updates = info[0].ToNumber().Int64Value()](const CancelToken& cancel) {
          return held->learner.Update(updates, *held->lanes, cancel);
        },
        [busy, engine = engine_](Napi::Env e, std::vector<ControlMetrics>& metrics) {
          auto array = Napi::Float64Array::New(e, metrics.size() * kControlMetrics);
          for (size_t i = 0; i < metrics.size(); ++i)
            std::memcpy(array.Data() + i * kControlMetrics, metrics[i].data(),
                        sizeof(ControlMetrics));
          return array;
        });
  });
}

Napi::Value LearnerObject::Act(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    ControlLearner& learner = AtRest();
    const int64_t rows = info[2].ToNumber().Int64Value();
    const auto states = info[1].As<Napi::Float32Array>();
    auto actions = info[4].As<Napi::Float32Array>();
    Check(int64_t(states.ElementLength()) == rows * learner.settings().state_size, "obs");
    Check(int64_t(actions.ElementLength()) == rows * learner.settings().action_size, "out");
    learner.Act(Member(info[0]), states.Data(), rows, info[3].ToBoolean(), actions.Data());
    return info.Env().Undefined();
  });
}

Napi::Value LearnerObject::Inspect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    ControlLearner& learner = AtRest();
    const TransitionColumns rows = ReadTransitions(info[1], learner.settings());
    auto o = Napi::Object::New(env);
    const auto column = [&](const char* name) {
      auto array = Napi::Float32Array::New(env, size_t(rows.n));
      o.Set(name, array);
      return array.Data();
    };
    float *q1 = column("q1"), *q2 = column("q2"), *ratio = column("logRatio"), *u = column("gap");
    learner.Inspect(Member(info[0]), rows, q1, q2, ratio, u);
    return o;
  });
}

Napi::Value LearnerObject::Read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const ControlLearner& learner = AtRest();
    const int64_t first = info[1].ToNumber().Int64Value(), n = info[2].ToNumber().Int64Value();
    const size_t count = size_t(n), states = size_t(learner.settings().state_size) * count;
    auto obs = Napi::Float32Array::New(env, states), next = Napi::Float32Array::New(env, states);
    auto act = Napi::Float32Array::New(env, size_t(learner.settings().action_size) * count);
    auto rew = Napi::Float32Array::New(env, count);
    auto done = Napi::Uint8Array::New(env, count);
    learner.Read(Member(info[0], true), first, n, obs.Data(), act.Data(), rew.Data(), next.Data(),
                 done.Data());
    auto o = Napi::Object::New(env);
    o.Set("n", double(n));
    o.Set("obs", obs);
    o.Set("act", act);
    o.Set("rew", rew);
    o.Set("next", next);
    o.Set("done", done);
    return o;
  });
}

Napi::Value LearnerObject::Size(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    ControlLearner& learner = AtRest();
    const int64_t member = Member(info[0], true);
    const Replay& replay = member < 0 ? learner.real() : learner.member(member).sim();
    return Napi::Number::New(info.Env(), double(replay.size()));
  });
}

Napi::Value LearnerObject::Parameters(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const std::vector<float> parameters = AtRest().Parameters(Member(info[0]));
    auto out = Napi::Float32Array::New(env, parameters.size());
    std::memcpy(out.Data(), parameters.data(), parameters.size() * 4);
    return out;
  });
}

Napi::Value LearnerObject::State(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const std::string state = AtRest().State(info[0].ToBoolean());
    auto bytes = Napi::Uint8Array::New(env, state.size());
    std::memcpy(bytes.Data(), state.data(), state.size());
    return bytes;
  });
}

Napi::Value LearnerObject::Restore(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    AtRest().Restore(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
    Account(info.Env());
    return info.Env().Undefined();
  });
}

Napi::Value LearnerObject::GetStep(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(),
                 [&] { return Napi::Number::New(info.Env(), double(AtRest().step())); });
}

Napi::Value LearnerObject::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), held_ ? double(held_->learner.bytes()) : 0);
}

}  // namespace alignlab
