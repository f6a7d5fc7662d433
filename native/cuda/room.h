// Scratch memory of operations, of the device or of the host.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/runtime.h"

namespace alignlab::cuda {

constexpr size_t kRoomAlign = 256;
constexpr size_t Aligned(size_t bytes) {
  return (bytes + kRoomAlign - 1) / kRoomAlign * kRoomAlign;
}

// Memory that grows: what was handed out since the last Reset stays where it is.
class Room {
 public:
  Room(Runtime& runtime, bool pinned) : runtime_(runtime), pinned_(pinned) {}
  ~Room();
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  // Aligned to 256 bytes. Throws OUT_OF_MEMORY.
  void* Take(size_t bytes);
  // Everything is free again, in one block as large as all of them were.
  void Reset();
  // The same for the last block, while what was handed out before may still be used.
  void Rewind() { used_ = 0; }
  size_t bytes() const;

 private:
  struct Block {
    char* data;
    size_t bytes;
  };
  void Add(size_t bytes);
  void ReleaseAll() noexcept;

  Runtime& runtime_;
  bool pinned_;
  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace alignlab::cuda
