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
  Device fast(ordinal, /*exact=*/false);
  const Cublas* cublas = fast.cublas();
  std::string names = cublas ? "cuBLASLt " + cublas->Version() : "";
  if (fast.hopper() != HopperUse::kNever)
    names += std::string(cublas ? " and " : "") + "Hopper's instructions";
  std::snprintf(out->fast, sizeof out->fast, "%s", names.c_str());
}

const Backend* Open(int ordinal, bool exact) { return &(new CudaBackend(ordinal, exact))->table(); }

void Close(const Backend* table) { delete CudaBackend::Of(table); }

CudaMemoryUse MemoryUse(const Backend* table) {
  const MemoryCount& count = CudaBackend::Of(table)->device().runtime().count();
  return {count.in_use(), count.peak()};
}

constexpr CudaEntry kEntry = {kBackendAbi, Runtime::DeviceCount, Describe, Open, Close, MemoryUse};

}  // namespace

}  // namespace alignlab::cuda

extern "C" __attribute__((visibility("default"))) const alignlab::CudaEntry* alignlab_cuda_entry() {
  return &alignlab::cuda::kEntry;
}
