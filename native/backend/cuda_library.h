// Finds and opens the CUDA library: alignlab_cuda.so beside the addon, or what
// ALIGNLAB_CUDA_LIBRARY names.
#pragma once

#include <memory>
#include <string>

#include "backend/cuda_entry.h"

namespace alignlab {

class CudaLibrary {
 public:
  // Opened at first use and for the life of the process.
  static const CudaLibrary& Get();

  // Devices that can be opened, 0 where there are none; `reason` says why.
  int device_count() const { return device_count_; }
  const std::string& reason() const { return reason_; }

  // Throw Error DEVICE_UNAVAILABLE.
  CudaDeviceDescription Describe(int ordinal) const;
  std::shared_ptr<const Backend> Open(int ordinal, bool exact) const;
  CudaMemoryUse MemoryUseOf(const Backend& opened) const { return entry_->memory_use(&opened); }

 private:
  CudaLibrary();
  void Load(const std::string& path);
  void Require(int ordinal) const;

  const CudaEntry* entry_ = nullptr;
  int device_count_ = 0;
  std::string reason_;
};

}  // namespace alignlab
