// What one Node environment (the main thread, a worker) has: its backends and its executor. Models
// and passes keep it, too, since they may be collected after the environment's own data.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  // The CPU for -1, which is always exact, else a CUDA device by its number, opened at first use.
  // Throws DEVICE_UNAVAILABLE.
  const Backend& BackendOf(int device, bool exact = true);
  // A CUDA device as a backend that nobody else has, so that it may be used on another thread than
  // the executor's. Throws DEVICE_UNAVAILABLE.
  std::shared_ptr<const Backend> OpenApart(int device);
  // Of all models and learners of a CUDA device in this environment, exact and not.
  CudaMemoryUse MemoryUseOf(int device) const;
  Pool& pool() { return backend_.pool(); }
  Executor& executor() { return executor_; }

 private:
  CpuBackend backend_;
  std::map<std::pair<int, bool>, std::shared_ptr<const Backend>> cuda_;
  std::vector<std::pair<int, std::weak_ptr<const Backend>>> apart_;
  Executor executor_;  // ends first: its queue may hold models of the backends
};

}  // namespace alignlab
