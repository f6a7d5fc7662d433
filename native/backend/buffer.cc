#include "backend/buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include "backend/control_group.h"
#include "error.h"

namespace alignlab {

namespace {

std::atomic<size_t> in_use{0};
std::atomic<size_t> limit{0};

constexpr size_t kHugePage = size_t(2) << 20;

// Linux hands out memory that it has not got, or has not granted, and kills the process later, so
// large requests are compared with what is left first. Unreadable: no opinion.
bool MachineHas(size_t bytes) {
  if (bytes < (size_t(64) << 20)) return true;
  if (double(bytes) > ControlGroups().BytesLeft()) return false;
  std::FILE* file = std::fopen("/proc/meminfo", "r");
  if (!file) return true;
  char line[128];
  unsigned long long kib = 0;
  bool found = false;
  while (!found && std::fgets(line, sizeof line, file))
    found = std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
  std::fclose(file);
  return !found || bytes <= size_t(kib) * 1024;
}

std::string Mib(size_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

constexpr const char* kWayOut =
    "Use fewer tokens per pass, recompute: true, dtype: 'bf16', or dispose models and forward "
    "passes that are not needed.";

[[noreturn]] void ThrowOutOfMemory(size_t bytes, const std::string& what) {
  const size_t cap = limit.load();
  throw Error("OUT_OF_MEMORY", "Not enough memory for " + what + ": " + Mib(bytes) +
                                   " more are needed, " + Mib(in_use.load()) + " are in use" +
                                   (cap ? " and the limit is " + Mib(cap) : std::string()) + ". " +
                                   kWayOut);
}

}  // namespace

void* AllocatePages(size_t bytes) {
  if (!MachineHas(bytes)) return nullptr;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  // Weights are read in 64-byte lines far apart: 4 KiB pages would miss the TLB on each of them.
  if (bytes >= 4 * kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

void ReleasePages(void* data, size_t bytes) { munmap(data, bytes); }

Buffer::Buffer(size_t bytes, const std::string& what) {
  if (bytes == 0) return;
  const size_t cap = limit.load();
  const size_t before = in_use.fetch_add(bytes);
  void* memory = cap == 0 || before + bytes <= cap ? AllocatePages(bytes) : nullptr;
  if (!memory) {
    in_use.fetch_sub(bytes);
    ThrowOutOfMemory(bytes, what);
  }
  data_ = memory;
  bytes_ = bytes;
}

Buffer::Buffer(const Backend& backend, size_t bytes, const std::string& what) {
  if (backend.memory.host) {
    *this = Buffer(bytes, what);
    return;
  }
  if (bytes == 0) return;
  data_ = backend.memory.allocate(backend.device, bytes);
  if (!data_)
    throw Error("OUT_OF_MEMORY", "The device has not got the memory for " + what + ": " +
                                     Mib(bytes) + " more are needed. " + kWayOut);
  bytes_ = bytes;
  device_ = &backend;
}

Buffer::~Buffer() {
  if (!data_) return;
  if (device_) {
    device_->memory.release(device_->device, data_, bytes_);
    return;
  }
  ReleasePages(data_, bytes_);
  in_use.fetch_sub(bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : device_(std::exchange(other.device_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

size_t Buffer::InUse() { return in_use.load(); }
size_t Buffer::Limit() { return limit.load(); }
void Buffer::SetLimit(size_t bytes) { limit.store(bytes); }

}  // namespace alignlab
