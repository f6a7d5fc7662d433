// Runtime on the CPU. What is allocated here can be read and written by kernels and copies only: at
// any other time its pages are locked, so that code which takes device memory for its own stops at
// once, as it would with a GPU.
#include "cuda/runtime.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "cuda/cublas.h"
#include "cuda/emulation/cublas.h"
#include "cuda/emulation/emulation.h"
#include "cuda/emulation/unlock.h"
#include "error.h"

namespace alignlab::cuda {

namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kDeviceBytes = size_t(4) << 30;

// Of the emulated device, by address. Executors of several Node environments may call: each
// operation holds the lock while the pages are open.
std::recursive_mutex& Lock() {
  static std::recursive_mutex lock;
  return lock;
}
std::map<char*, size_t>& Blocks() {
  static std::map<char*, size_t> blocks;
  return blocks;
}
size_t in_use = 0;
int open = 0;

GpuProperties& TheGpu() {
  static GpuProperties gpu{"emulated on the CPU", 8, 0, 1, kDeviceBytes, size_t(160) << 10};
  return gpu;
}

void Protect(int protection) {
  for (const auto& [begin, bytes] : Blocks()) mprotect(begin, bytes, protection);
}

}  // namespace

namespace emulation {

void SetGpu(int major, int minor, int multiprocessors) {
  GpuProperties& gpu = TheGpu();
  gpu.major = major;
  gpu.minor = minor;
  gpu.multiprocessors = multiprocessors;
}

Unlock::Unlock() {
  Lock().lock();
  if (open++ == 0) Protect(PROT_READ | PROT_WRITE);
}
Unlock::~Unlock() {
  if (--open == 0) Protect(PROT_NONE);
  Lock().unlock();
}

}  // namespace emulation

int Runtime::DeviceCount() { return 1; }

GpuProperties Runtime::Properties(int) { return TheGpu(); }

Runtime::Runtime(int ordinal) : ordinal_(ordinal) {}
Runtime::~Runtime() = default;

void Runtime::Check(int, const char*) {}
void Runtime::Select() {}

void* Runtime::Allocate(size_t bytes) {
  const std::lock_guard guard(Lock());
  const size_t whole = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (in_use + whole > kDeviceBytes) return nullptr;
  void* data = mmap(nullptr, whole, open > 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  Blocks()[static_cast<char*>(data)] = whole;
  in_use += whole;
  count_.Add(bytes);
  // Not cleared on a GPU, either; a NaN that is read shows.
  const emulation::Unlock unlock;
  std::memset(data, 0xff, whole);
  return data;
}

void Runtime::Release(void* data, size_t bytes) noexcept {
  const std::lock_guard guard(Lock());
  const auto found = Blocks().find(static_cast<char*>(data));
  if (found == Blocks().end()) return;
  munmap(found->first, found->second);
  in_use -= found->second;
  count_.Remove(bytes);
  Blocks().erase(found);
}

size_t Runtime::FreeBytes() const { return kDeviceBytes - in_use; }

void* Runtime::AllocatePinned(size_t bytes) { return std::malloc(bytes); }
void Runtime::ReleasePinned(void* data) noexcept { std::free(data); }

void Runtime::Zero(void* data, size_t bytes) {
  const emulation::Unlock unlock;
  std::memset(data, 0, bytes);
}
void Runtime::Copy(void* to, const void* from, size_t bytes) {
  const emulation::Unlock unlock;
  std::memcpy(to, from, bytes);
}
void Runtime::CopyIn(void* to, const void* from, size_t bytes) { Copy(to, from, bytes); }
void Runtime::CopyOut(void* to, const void* from, size_t bytes) { Copy(to, from, bytes); }
void Runtime::Synchronize() {}
void Runtime::CheckLaunch() {}
std::unique_ptr<Cublas> Runtime::OpenCublas() { return Cublas::Start(emulation::CublasStandIn()); }

}  // namespace alignlab::cuda
