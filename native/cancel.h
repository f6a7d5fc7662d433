// The flag behind an AbortSignal: set on the JavaScript thread, read between layers and tokens.
#pragma once

#include <atomic>

#include "error.h"

namespace alignlab {

class CancelToken {
 public:
  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  void ThrowIfCancelled() const {
    if (cancelled()) throw Error("ABORTED", "The call was aborted.");
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace alignlab
