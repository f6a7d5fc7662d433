// What the backend needs of a GPU's runtime: memory, copies, one stream, errors. Two versions:
// runtime_nvcc.cu (CUDA's runtime, linked statically) and emulation/runtime.cc (the CPU).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace alignlab::cuda {

class Cublas;

struct GpuProperties {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  size_t total_bytes = 0;
  size_t shared_bytes = 0;  // of one block, at most
};

// Bytes of a device that are held, and the most that were. May be read from any thread.
class MemoryCount {
 public:
  void Add(size_t bytes) {
    const size_t now = in_use_ += bytes;
    size_t peak = peak_;
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  void Remove(size_t bytes) { in_use_ -= bytes; }
  size_t in_use() const { return in_use_; }
  size_t peak() const { return peak_; }

 private:
  std::atomic<size_t> in_use_{0}, peak_{0};
};

class Runtime {
 public:
  // Number of devices; 0 without a driver.
  static int DeviceCount();
  static GpuProperties Properties(int ordinal);

  // Throws Error DEVICE_UNAVAILABLE.
  explicit Runtime(int ordinal);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Of the device, aligned to 256 bytes, not cleared. Null when the device has not got it.
  void* Allocate(size_t bytes);
  void Release(void* data, size_t bytes) noexcept;
  size_t FreeBytes() const;
  // What this runtime has allocated; the CUDA context, which others may share, is not counted.
  const MemoryCount& count() const { return count_; }

  // Of the host, where asynchronous copies start. Throws OUT_OF_MEMORY.
  void* AllocatePinned(size_t bytes);
  void ReleasePinned(void* data) noexcept;

  // In the order of the stream. What is copied in from pinned memory must stay until Synchronize.
  void Zero(void* data, size_t bytes);
  void Copy(void* to, const void* from, size_t bytes);
  void CopyIn(void* to, const void* from_host, size_t bytes);
  // Waits for the stream.
  void CopyOut(void* to_host, const void* from, size_t bytes);
  void Synchronize();

  // Kernels that this thread starts run on this device.
  void Select();

  // Throws the error that a launch or an earlier kernel left. A device that failed is lost:
  // every later call throws DEVICE_LOST.
  void CheckLaunch();

  // cuBLASLt on this device, or null: not installed, or no device that it could reach.
  std::unique_ptr<Cublas> OpenCublas();

  void* stream() const { return stream_; }  // cudaStream_t

  // Throws DEVICE_LOST unless the status (cudaError_t) is 0.
  void Check(int status, const char* what);

 private:
  int ordinal_;
  void* stream_ = nullptr;
  bool lost_ = false;
  MemoryCount count_;
};

}  // namespace alignlab::cuda
