// The JavaScript class NativeLearner: an ensemble of off-dynamics learners (control/learner.h).
// Updates go to the executor; everything else runs on the JavaScript thread at once, and is refused
// while an update is under way. src/control/learner.ts is what people use.
#pragma once

#include <napi.h>

#include <memory>

#include "bindings/engine.h"
#include "control/learner.h"
#include "cpu/lanes.h"

namespace alignlab {

class LearnerObject : public Napi::ObjectWrap<LearnerObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  // new NativeLearner(settings, real columns, device number)
  explicit LearnerObject(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  // Work that is queued holds it.
  struct Held {
    // device: -1 is the CPU.
    Held(Engine& engine, int device, ControlSettings settings, const TransitionColumns& real);
    std::shared_ptr<const Backend> own;  // of a CUDA device: one of this learner alone
    Pool single{1};
    std::unique_ptr<Lanes> lanes;
    ControlLearner learner;
    int updates = 0;  // under way; JavaScript thread only
  };

  // The learner at rest, or DISPOSED, or OPTION_INVALID while an update is under way.
  ControlLearner& AtRest() const;
  Held& Use() const;
  int64_t Member(const Napi::Value& value, bool real_too = false) const;
  void Account(Napi::BasicEnv env);
  void Release(Napi::BasicEnv env);

  Napi::Value Push(const Napi::CallbackInfo& info);        // (member, columns)
  Napi::Value Update(const Napi::CallbackInfo& info);      // (updates) -> {promise, cancel}
  Napi::Value Act(const Napi::CallbackInfo& info);         // (member, obs, rows, sample, out)
  Napi::Value Inspect(const Napi::CallbackInfo& info);     // (member, columns)
  Napi::Value Read(const Napi::CallbackInfo& info);        // (member or -1, first, count)
  Napi::Value Size(const Napi::CallbackInfo& info);        // (member or -1) -> transitions
  Napi::Value Parameters(const Napi::CallbackInfo& info);  // (member) -> Float32Array
  Napi::Value State(const Napi::CallbackInfo& info);       // (transitions too) -> Uint8Array
  Napi::Value Restore(const Napi::CallbackInfo& info);     // (bytes)
  Napi::Value GetStep(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  void Dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Held> held_;
  std::shared_ptr<Engine> engine_;  // outlives the learner
  int64_t external_ = 0;
};

}  // namespace alignlab
