#include "bindings/model_object.h"

#include "bindings/arguments.h"
#include "bindings/environment.h"
#include "bindings/js_error.h"
#include "cpu/lanes.h"
#include "model/initialize.h"

namespace alignlab {

namespace {

// Guards against a method called on, or handed, an object of another class.
constexpr napi_type_tag kModelTag = {0x6a1c9f7e52d84b03, 0x9be0417a3c65d28f};
constexpr napi_type_tag kPassTag = {0x25f3b86d0e914ac7, 0x83d7c2f15ba06e94};

void CheckTag(const Napi::Value& value, const napi_type_tag& tag, const char* what) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag))
    throw Error("OPTION_INVALID", std::string("A ") + what + " was expected here.");
}

Napi::Object ScoresToJs(Napi::Env env, const ScoreResult& r) {
  auto o = Napi::Object::New(env);
  o.Set("logProbs", ToFloat32Array(env, r.logprobs));
  o.Set("entropies", ToFloat32Array(env, r.entropies));
  o.Set("scalars", ToFloat32Array(env, r.scalars));
  o.Set("offsets", ToInt32Array(env, r.offsets));
  return o;
}

Executor& ExecutorOf(Napi::Env env) { return Engine::Of(env)->executor(); }

Napi::Value Nothing(Napi::Env env) { return env.Undefined(); }

}  // namespace

// ---- passes

Napi::Function PassObject::Define(Napi::Env env) {
  return DefineClass(env, "NativePass", {InstanceMethod<&PassObject::Dispose>("dispose")});
}

PassObject::PassObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kPassTag);
}

Napi::Object PassObject::Wrap(Napi::Env env, std::shared_ptr<ForwardPass> pass) {
  Napi::Object object = env.GetInstanceData<Environment>()->pass_constructor.New({});
  PassObject* self = Unwrap(object);
  self->engine_ = Engine::Of(env);
  self->external_ = int64_t(pass->bytes());
  self->pass_ = std::move(pass);
  Napi::MemoryManagement::AdjustExternalMemory(env, self->external_);
  return object;
}

std::shared_ptr<ForwardPass> PassObject::Of(const Napi::Value& value) {
  CheckTag(value, kPassTag, "forward pass");
  auto pass = Unwrap(value.As<Napi::Object>())->pass_;
  if (!pass) throw Error("DISPOSED", "This forward pass has been disposed. Call forward() again.");
  return pass;
}

void PassObject::Release(Napi::BasicEnv env) {
  if (pass_) engine_->executor().Discard(std::move(pass_));
  Napi::MemoryManagement::AdjustExternalMemory(env, -external_);
  external_ = 0;
}

void PassObject::Dispose(const Napi::CallbackInfo& info) { Release(info.Env()); }
void PassObject::Finalize(Napi::BasicEnv env) { Release(env); }

// ---- models: life

Napi::Function ModelObject::Define(Napi::Env env) {
  using M = ModelObject;
  return DefineClass(
      env, "NativeModel",
      {InstanceMethod<&M::Initialise>("initialise"), InstanceMethod<&M::Read>("read"),
       InstanceMethod<&M::Write>("write"), InstanceMethod<&M::Clone>("clone"),
       InstanceMethod<&M::Blend>("blend"), InstanceMethod<&M::Score>("score"),
       InstanceMethod<&M::Forward>("forward"), InstanceMethod<&M::Backward>("backward"),
       InstanceMethod<&M::Kl>("kl"), InstanceMethod<&M::Generate>("generate"),
       InstanceMethod<&M::Step>("adamWStep"), InstanceMethod<&M::GradientNorm>("gradientNorm"),
       InstanceMethod<&M::ZeroGradients>("zeroGradients"),
       InstanceMethod<&M::SlotNames>("slotNames"), InstanceMethod<&M::Bytes>("bytes"),
       InstanceMethod<&M::Exact>("exact"), InstanceMethod<&M::Dispose>("dispose"),
       InstanceAccessor<&M::GetStep, &M::SetStep>("step")});
}

ModelObject::ModelObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  Guarded(env, [&] {
    info.This().As<Napi::Object>().TypeTag(&kModelTag);
    engine_ = Engine::Of(env);
    if (info[0].IsExternal()) {
      Adopt(env, *info[0].As<Napi::External<std::shared_ptr<Model>>>().Data());
    } else {
      const Backend& backend = engine_->BackendOf(
          ReadDevice(info[3]), !info[4].IsBoolean() || info[4].As<Napi::Boolean>());
      Adopt(env, std::make_shared<Model>(backend, ReadConfig(info[0].As<Napi::Object>()),
                                         ReadDType(info[1]), info[2].ToBoolean()));
    }
  });
}

Napi::Object ModelObject::Wrap(Napi::Env env, std::shared_ptr<Model> model) {
  return env.GetInstanceData<Environment>()->model_constructor.New(
      {Napi::External<std::shared_ptr<Model>>::New(env, &model)});
}

void ModelObject::Adopt(Napi::Env env, std::shared_ptr<Model> model) {
  model_ = std::move(model);
  external_ = int64_t(model_->bytes());
  Napi::MemoryManagement::AdjustExternalMemory(env, external_);
}

// Work that is queued keeps the model alive until it is done.
void ModelObject::Release(Napi::BasicEnv env) {
  if (model_) engine_->executor().Discard(std::move(model_));
  Napi::MemoryManagement::AdjustExternalMemory(env, -external_);
  external_ = 0;
}

// A call that is done when the memory has been given back.
Napi::Value ModelObject::Dispose(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    auto model = std::move(model_);
    Release(env);
    return engine_->executor().Submit(
        env, [model = std::move(model)](const CancelToken&) mutable { model.reset(); }, Nothing);
  });
}
void ModelObject::Finalize(Napi::BasicEnv env) { Release(env); }

std::shared_ptr<Model> ModelObject::Use() const {
  if (!model_) throw Error("DISPOSED", "This model has been disposed. Load it again.");
  return model_;
}

std::shared_ptr<Model> ModelObject::Of(const Napi::Value& value) {
  CheckTag(value, kModelTag, "model");
  return Unwrap(value.As<Napi::Object>())->Use();
}

// ---- models: calls

Napi::Value ModelObject::Initialise(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    bool lossless = true;
    const uint64_t seed = info[0].As<Napi::BigInt>().Uint64Value(&lossless);
    const float deviation = info[1].ToNumber();
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), &pool = engine_->pool(), seed, deviation](const CancelToken& cancel) {
          CpuLanes lanes(pool);
          Initialize(*model, seed, deviation, lanes, cancel);
        },
        Nothing);
  });
}

Napi::Value ModelObject::Read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), set = ReadTensorSet(info[0]),
         ranges = ReadRanges(info[1].As<Napi::Array>())](const CancelToken& cancel) {
          ReadTensors(*model, set, ranges, cancel);
        },
        Nothing);
  });
}

Napi::Value ModelObject::Write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const auto header = info[3].As<Napi::Uint8Array>();
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), set = ReadTensorSet(info[0]),
         ranges = ReadRanges(info[1].As<Napi::Array>()),
         path = info[2].As<Napi::String>().Utf8Value(),
         bytes = std::string(reinterpret_cast<const char*>(header.Data()), header.ByteLength())](
            const CancelToken& cancel) { WriteTensors(*model, set, ranges, path, bytes, cancel); },
        Nothing);
  });
}

Napi::Value ModelObject::Clone(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), trainable = info[0].ToBoolean().Value(), dtype = ReadDType(info[1])](
            const CancelToken&) { return std::shared_ptr<Model>(model->Clone(trainable, dtype)); },
        [](Napi::Env e, std::shared_ptr<Model>& copy) { return Wrap(e, copy); });
  });
}

Napi::Value ModelObject::Blend(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const float weight = info[1].ToNumber();
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), other = Of(info[0]), weight](const CancelToken&) {
          model->BlendFrom(*other, weight);
        },
        Nothing);
  });
}

Napi::Value ModelObject::Score(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), forest = ReadForest(info[0].As<Napi::Object>()),
         entropy = info[1].ToBoolean().Value()](const CancelToken& cancel) {
          return model->Score(forest, entropy, cancel);
        },
        [](Napi::Env e, ScoreResult& r) { return ScoresToJs(e, r); });
  });
}

Napi::Value ModelObject::Forward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const ForwardOptions options{info[1].ToBoolean(), info[2].ToBoolean()};
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), forest = ReadForest(info[0].As<Napi::Object>()),
         options](const CancelToken& cancel) {
          return std::shared_ptr<ForwardPass>(model->Forward(forest, options, cancel));
        },
        [](Napi::Env e, std::shared_ptr<ForwardPass>& pass) {
          Napi::Object result = ScoresToJs(e, pass->result());
          result.Set("pass", PassObject::Wrap(e, pass));
          return result;
        });
  });
}

Napi::Value ModelObject::Backward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), pass = PassObject::Of(info[0]), d_logprobs = ReadFloats(info[1]),
         d_entropies = ReadFloats(info[2]),
         d_scalars = ReadFloats(info[3])](const CancelToken& cancel) {
          model->Backward(*pass, d_logprobs, d_entropies, d_scalars, cancel);
        },
        Nothing);
  });
}

Napi::Value ModelObject::Kl(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), other = Of(info[0]), forest = ReadForest(info[1].As<Napi::Object>())](
            const CancelToken& cancel) { return model->Kl(*other, forest, cancel); },
        [](Napi::Env e, ScoreResult& r) { return ScoresToJs(e, r); });
  });
}

Napi::Value ModelObject::GradientNorm(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env, [model = Use()](const CancelToken&) { return alignlab::GradientNorm(*model); },
        [](Napi::Env e, double& norm) { return Napi::Number::New(e, norm); });
  });
}

Napi::Value ModelObject::ZeroGradients(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env, [model = Use()](const CancelToken&) { model->parameters().ClearGradients(); },
        Nothing);
  });
}

Napi::Value ModelObject::Step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    return ExecutorOf(env).Submit(
        env,
        [model = Use(), settings = ReadAdamW(info[0].As<Napi::Object>())](const CancelToken&) {
          return AdamWStep(*model, settings);
        },
        [](Napi::Env e, double& norm) { return Napi::Number::New(e, norm); });
  });
}

Napi::Value ModelObject::SlotNames(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    auto names = Napi::Array::New(env);
    for (const Slot& slot : Use()->parameters().slots())
      names.Set(names.Length(), Napi::String::New(env, slot.name));
    return names;
  });
}

Napi::Value ModelObject::Bytes(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), model_ ? double(model_->bytes()) : 0);
}

Napi::Value ModelObject::Exact(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(),
                 [&] { return Napi::Boolean::New(info.Env(), Use()->backend().exact); });
}

Napi::Value ModelObject::GetStep(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), double(Use()->step())); });
}

void ModelObject::SetStep(const Napi::CallbackInfo& info, const Napi::Value& value) {
  Guarded(info.Env(), [&] { Use()->set_step(value.ToNumber().Int64Value()); });
}

}  // namespace alignlab
