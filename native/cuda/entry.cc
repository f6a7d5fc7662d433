// The one symbol that the CUDA library shows.
#include <cstdio>

#include "backend/cuda_entry.h"
#include "cuda/library.h"

namespace alignlab::cuda {

namespace {

void Describe(int ordinal, CudaDeviceDescription* out) {
  const GpuProperties p = Runtime::Properties(ordinal);
  std::snprintf(out->name, sizeof out->name, "%s", p.name.c_str());
  out->major = p.major;
  out->minor = p.minor;
  out->multiprocessors = p.multiprocessors;
  out->total_bytes = p.total_bytes;
  out->free_bytes = Runtime(ordinal).FreeBytes();
}

const Backend* Open(int ordinal) { return &(new CudaBackend(ordinal))->table(); }

void Close(const Backend* table) { delete CudaBackend::Of(table); }

constexpr CudaEntry kEntry = {kBackendAbi, Runtime::DeviceCount, Describe, Open, Close};

}  // namespace

}  // namespace alignlab::cuda

extern "C" __attribute__((visibility("default"))) const alignlab::CudaEntry* alignlab_cuda_entry() {
  return &alignlab::cuda::kEntry;
}
