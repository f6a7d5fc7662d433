// A device and its table of operations, as entry.cc hands it out.
#pragma once

#include <string>

#include "cuda/device.h"

namespace alignlab::cuda {

class CudaBackend {
 public:
  // Throws Error DEVICE_UNAVAILABLE.
  explicit CudaBackend(int ordinal, bool exact = true);
  CudaBackend(const CudaBackend&) = delete;  // the table points at the device
  CudaBackend& operator=(const CudaBackend&) = delete;

  const Backend& table() const { return table_; }
  Device& device() { return device_; }
  static CudaBackend* Of(const Backend* table) {
    return static_cast<Device*>(table->device)->owner();
  }

 private:
  Device device_;
  std::string variant_;
  Backend table_;
};

}  // namespace alignlab::cuda
