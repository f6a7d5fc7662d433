// What one Node environment (the main thread, a worker) has: its backend and its executor. Models
// and passes keep it, too, since they may be collected after the environment's own data.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

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
  const ControlOperations& control() const { return backend_.control(); }
  Pool& pool() { return backend_.pool(); }
  Executor& executor() { return executor_; }

 private:
  CpuBackend backend_;
  Executor executor_;
};

}  // namespace alignlab
