// What the CUDA library shows to the program that opens it: two C functions. The library is opened
// at run time , so that one package serves machines with and without a GPU.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "cuda/device.h"

namespace alignlab::cuda {

// A device and its table.
class CudaBackend {
 public:
  // Throws Error DEVICE_UNAVAILABLE.
  explicit CudaBackend(int ordinal);
  CudaBackend(const CudaBackend&) = delete;  // the table points at the device
  CudaBackend& operator=(const CudaBackend&) = delete;

  const Backend& table() const { return table_; }

 private:
  Device device_;
  std::string variant_;
  Backend table_;
};

}  // namespace alignlab::cuda
