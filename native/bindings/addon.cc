// What `require` of the addon gives: three classes and a few functions about the machine.
#include <napi.h>

#include <thread>

#include "backend/buffer.h"
#include "backend/limits.h"
#include "bindings/arguments.h"
#include "bindings/environment.h"
#include "bindings/js_error.h"
#include "bindings/learner_object.h"
#include "bindings/model_object.h"
#include "cpu/isa.h"

namespace alignlab {

namespace {

// {abi, instructionSets: [{name, supported}], hardwareThreads}: computes nothing, never throws.
Napi::Value Describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto sets = Napi::Array::New(env);
  for (const InstructionSet& set : InstructionSets()) {
    auto o = Napi::Object::New(env);
    o.Set("name", set.name);
    o.Set("supported", set.supported);
    sets.Set(sets.Length(), o);
  }
  auto o = Napi::Object::New(env);
  o.Set("abi", kBackendAbi);
  o.Set("instructionSets", sets);
  o.Set("hardwareThreads", std::thread::hardware_concurrency());
  return o;
}

// The engine in use: {instructionSet, threads, bytesInUse, byteLimit}.
Napi::Value State(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const auto engine = Engine::Of(env);
    auto o = Napi::Object::New(env);
    o.Set("instructionSet", engine->backend().variant);
    o.Set("threads", engine->pool().threads());
    o.Set("bytesInUse", double(Buffer::InUse()));
    o.Set("byteLimit", double(Buffer::Limit()));
    return o;
  });
}

// {devices: [{name, major, minor, multiprocessors, totalBytes, freeBytes, fast, bytesInUse,
// peakBytes}], reason}: what the CUDA library finds, and what this environment's models hold there;
// reason says why there is none. Never throws for a machine without a GPU.
Napi::Value Cuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const CudaLibrary& library = CudaLibrary::Get();
    auto devices = Napi::Array::New(env);
    for (int i = 0; i < library.device_count(); ++i) {
      const CudaDeviceDescription d = library.Describe(i);
      auto o = Napi::Object::New(env);
      o.Set("name", d.name);
      o.Set("major", d.major);
      o.Set("minor", d.minor);
      o.Set("multiprocessors", d.multiprocessors);
      o.Set("totalBytes", double(d.total_bytes));
      o.Set("freeBytes", double(d.free_bytes));
      o.Set("fast", d.fast);
      const CudaMemoryUse use = Engine::Of(env)->MemoryUseOf(i);
      o.Set("bytesInUse", double(use.in_use));
      o.Set("peakBytes", double(use.peak));
      devices.Set(devices.Length(), o);
    }
    auto o = Napi::Object::New(env);
    o.Set("devices", devices);
    o.Set("reason", library.reason());
    return o;
  });
}

// (threads) -> {promise}: waits its turn, since the pool must be idle.
Napi::Value SetThreads(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const auto engine = Engine::Of(env);
    return engine->executor().Submit(
        env,
        [engine, threads = int(info[0].ToNumber())](const CancelToken&) {
          engine->pool().Resize(threads);
        },
        [](Napi::Env e) { return e.Undefined(); });
  });
}

Napi::Value SetMemoryLimit(const Napi::CallbackInfo& info) {
  Buffer::SetLimit(size_t(info[0].ToNumber().DoubleValue()));
  return info.Env().Undefined();
}

// (config, dtype, trainable, tokens, scored, recompute, device?) -> bytes by purpose
Napi::Value EstimateMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const Backend& backend = Engine::Of(env)->BackendOf(ReadDevice(info[6]));
    const MemoryEstimate e = Model::Estimate(
        backend, ReadConfig(info[0].As<Napi::Object>()), ReadDType(info[1]), info[2].ToBoolean(),
        info[3].ToNumber().Int64Value(), info[4].ToNumber().Int64Value(), info[5].ToBoolean());
    auto o = Napi::Object::New(env);
    o.Set("weights", double(e.weights));
    o.Set("gradients", double(e.gradients));
    o.Set("moments", double(e.moments));
    o.Set("score", double(e.score));
    o.Set("training", double(e.training));
    return o;
  });
}

// (device?) -> {promise} of {f32, bf16} floating-point operations and {bandwidth} bytes per second
Napi::Value MeasureLimits(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const auto engine = Engine::Of(env);
    const Backend& backend = engine->BackendOf(ReadDevice(info[0]));
    return engine->executor().Submit(
        env, [engine, &backend](const CancelToken&) { return MeasureMachine(backend); },
        [](Napi::Env e, MachineLimits& limits) {
          auto o = Napi::Object::New(e);
          o.Set("f32", limits.f32_flops);
          o.Set("bf16", limits.bf16_flops);
          o.Set("bandwidth", limits.bytes);
          return o;
        });
  });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment;
  env.SetInstanceData(environment);
  const Napi::Function model = ModelObject::Define(env), pass = PassObject::Define(env);
  environment->model_constructor = Napi::Persistent(model);
  environment->pass_constructor = Napi::Persistent(pass);
  exports.Set("NativeModel", model);
  exports.Set("NativeLearner", LearnerObject::Define(env));
  exports.Set("describe", Napi::Function::New<Describe>(env));
  exports.Set("state", Napi::Function::New<State>(env));
  exports.Set("cuda", Napi::Function::New<Cuda>(env));
  exports.Set("setThreads", Napi::Function::New<SetThreads>(env));
  exports.Set("setMemoryLimit", Napi::Function::New<SetMemoryLimit>(env));
  exports.Set("estimateMemory", Napi::Function::New<EstimateMemory>(env));
  exports.Set("measureLimits", Napi::Function::New<MeasureLimits>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(alignlab, Init)

}  // namespace alignlab
