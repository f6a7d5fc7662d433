// The JavaScript classes NativeModel and NativePass. Every call that computes goes to the
// executor and returns {promise, cancel()}; src/engine/ turns that into methods that people use.
#pragma once

#include <napi.h>

#include <memory>

#include "bindings/engine.h"
#include "model/model.h"

namespace alignlab {

// What a forward pass left; freed by dispose(), by backward, or with the object.
class PassObject : public Napi::ObjectWrap<PassObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  static Napi::Object Wrap(Napi::Env env, std::shared_ptr<ForwardPass> pass);
  static std::shared_ptr<ForwardPass> Of(const Napi::Value& value);

  explicit PassObject(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  void Dispose(const Napi::CallbackInfo& info);
  void Release(Napi::BasicEnv env);
  std::shared_ptr<ForwardPass> pass_;
  std::shared_ptr<Engine> engine_;
  int64_t external_ = 0;
};

class ModelObject : public Napi::ObjectWrap<ModelObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  static std::shared_ptr<Model> Of(const Napi::Value& value);

  // new NativeModel(config, dtype, trainable, device, exact): zeroed weights.
  explicit ModelObject(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  static Napi::Object Wrap(Napi::Env env, std::shared_ptr<Model> model);
  // The model, or DISPOSED.
  std::shared_ptr<Model> Use() const;
  void Adopt(Napi::Env env, std::shared_ptr<Model> model);
  void Release(Napi::BasicEnv env);

  Napi::Value Initialise(const Napi::CallbackInfo& info);  // (seed: bigint, deviation)
  Napi::Value Read(const Napi::CallbackInfo& info);        // (set, ranges)
  Napi::Value Write(const Napi::CallbackInfo& info);       // (set, ranges, path, header)
  Napi::Value Clone(const Napi::CallbackInfo& info);       // (trainable, dtype)
  Napi::Value Blend(const Napi::CallbackInfo& info);       // (other, weight)
  Napi::Value Score(const Napi::CallbackInfo& info);       // (forest, entropy)
  Napi::Value Forward(const Napi::CallbackInfo& info);     // (forest, entropy, recompute)
  Napi::Value Backward(const Napi::CallbackInfo& info);    // (pass, floats, floats, floats)
  Napi::Value Kl(const Napi::CallbackInfo& info);          // (other, forest)
  Napi::Value Generate(
      const Napi::CallbackInfo& info);  // (requests, maxBatch, onTokens?, other?, weight)
  Napi::Value GradientNorm(const Napi::CallbackInfo& info);
  Napi::Value ZeroGradients(const Napi::CallbackInfo& info);
  Napi::Value Step(const Napi::CallbackInfo& info);  // (adamw settings)
  Napi::Value SlotNames(const Napi::CallbackInfo& info);
  Napi::Value Bytes(const Napi::CallbackInfo& info);
  Napi::Value Exact(const Napi::CallbackInfo& info);
  Napi::Value GetStep(const Napi::CallbackInfo& info);
  void SetStep(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value Dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Model> model_;
  std::shared_ptr<Engine> engine_;  // outlives the model
  int64_t external_ = 0;            // bytes told to the garbage collector
};

}  // namespace alignlab
