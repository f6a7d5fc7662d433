// What one Node environment (the main thread, a worker) has: its backends and its executor. Models
// and passes keep it, too, since they may be collected after the environment's own data.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>

#include "backend/cuda_library.h"
#include "bindings/executor.h"
#include "cpu/backend.h"

namespace alignlab {

class Engine {
 public:
  // The engine of this environment, made at first use. Throws ISA_UNSUPPORTED or OPTION_INVALID
  // for a bad ALIGNLAB_ISA or ALIGNLAB_THREADS.
  static std::shared_ptr<Engine> Of(Napi::Env env);

  explicit Engine(Napi::Env env);
  const Backend& backend() const { return backend_.table(); }
  // The CPU for -1, else a CUDA device by its number, opened at first use. On the executor's
  // thread. Throws DEVICE_UNAVAILABLE.
  const Backend& BackendOf(int device);
  const ControlOperations& control() const { return backend_.control(); }
  Pool& pool() { return backend_.pool(); }
  Executor& executor() { return executor_; }

 private:
  CpuBackend backend_;
  std::map<int, std::shared_ptr<const Backend>> cuda_;
  Executor executor_;  // ends first: its queue may hold models of the backends
};

}  // namespace alignlab
