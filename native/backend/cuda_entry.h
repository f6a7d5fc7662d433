// What the CUDA library and the addon that opens it agree on. The library is another file, opened
// at run time, so that one package serves machines with and without a GPU.
#pragma once

#include "backend/backend.h"

namespace alignlab {

struct CudaDeviceDescription {
  char name[256];
  int32_t major, minor;  // compute capability
  int32_t multiprocessors;
  uint64_t total_bytes, free_bytes;
};

// The functions throw Error.
struct CudaEntry {
  uint32_t abi;           // kBackendAbi of the library's build
  int (*device_count)();  // 0 without a driver; does not throw
  void (*describe)(int ordinal, CudaDeviceDescription* description);
  // A device and its table, for one thread at a time, until it is closed.
  const Backend* (*open)(int ordinal);
  void (*close)(const Backend* backend);
};

constexpr const char* kCudaEntryName = "alignlab_cuda_entry";
using CudaEntryFunction = const CudaEntry* (*)();

}  // namespace alignlab
