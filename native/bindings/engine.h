// What one Node environment (the main thread, a worker) owns: its backend and its executor.
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
  static Engine& Of(Napi::Env env);

  explicit Engine(Napi::Env env);
  const std::shared_ptr<CpuBackend>& backend() const { return backend_; }
  Executor& executor() { return executor_; }

 private:
  std::shared_ptr<CpuBackend> backend_;  // models keep it, too
  Executor executor_;
};

}  // namespace alignlab
