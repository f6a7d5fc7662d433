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
  char fast[64];  // what large products and attention go to that need not be exact; "": nothing
};

// Bytes of the device that a backend's models and operations hold, and the most that they held.
struct CudaMemoryUse {
  uint64_t in_use, peak;
};

// The functions throw Error.
struct CudaEntry {
  uint32_t abi;           // kBackendAbi of the library's build
  int (*device_count)();  // 0 without a driver; does not throw
  void (*describe)(int ordinal, CudaDeviceDescription* description);
  // A device and its table, for one thread at a time, until it is closed. When it need not be
  // exact, large products and attention go to what is faster, where the machine has it.
  const Backend* (*open)(int ordinal, bool exact);
  void (*close)(const Backend* backend);
  CudaMemoryUse (*memory_use)(const Backend* backend);  // from any thread; does not throw
};

constexpr const char* kCudaEntryName = "alignlab_cuda_entry";
using CudaEntryFunction = const CudaEntry* (*)();

}  // namespace alignlab
