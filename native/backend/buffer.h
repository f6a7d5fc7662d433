// The only owner of large memory, the host's or a device's, and the budget that all buffers of the
// host share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backend/backend.h"

namespace alignlab {

// Zeroed pages of the host's memory, large ones huge; null when the machine has not got them.
void* AllocatePages(size_t bytes);
void ReleasePages(void* data, size_t bytes);

// Zeroed memory, 64-byte aligned; the host's is counted against the budget.
class Buffer {
 public:
  Buffer() = default;
  // Of the host. Throws Error OUT_OF_MEMORY, naming `what` and the size, when the budget or the
  // machine has not got it. Nothing has changed then.
  Buffer(size_t bytes, const std::string& what);
  // Of the backend's device, which must outlive it.
  Buffer(const Backend& backend, size_t bytes, const std::string& what);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void* data() const { return data_; }
  float* f32() const { return static_cast<float*>(data_); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data_); }
  size_t bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }

  // Bytes of the host held by all buffers of the process, and the limit on them (0: what the
  // machine has).
  static size_t InUse();
  static size_t Limit();
  static void SetLimit(size_t bytes);

 private:
  const Backend* device_ = nullptr;  // null: of the host
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace alignlab
