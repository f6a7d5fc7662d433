#include "cuda/room.h"

#include <algorithm>
#include <string>

#include "error.h"

namespace alignlab::cuda {

namespace {

constexpr size_t kLeast = size_t(1) << 20;

}  // namespace

Room::~Room() { ReleaseAll(); }

void Room::ReleaseAll() noexcept {
  for (const Block& block : blocks_)
    pinned_ ? runtime_.ReleasePinned(block.data) : runtime_.Release(block.data, block.bytes);
  blocks_.clear();
  used_ = 0;
}

void Room::Add(size_t bytes) {
  void* data = pinned_ ? runtime_.AllocatePinned(bytes) : runtime_.Allocate(bytes);
  if (!data)
    throw Error("OUT_OF_MEMORY",
                "The GPU has no " + std::to_string((bytes >> 20) + 1) +
                    " MiB left for the scratch memory of an operation; " +
                    std::to_string(runtime_.FreeBytes() >> 20) +
                    " MiB are free. Use fewer tokens per pass, or dispose models that are not "
                    "needed.");
  blocks_.push_back({static_cast<char*>(data), bytes});
  used_ = 0;
}

void* Room::Take(size_t bytes) {
  bytes = Aligned(bytes);
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes) Add(std::max(bytes, kLeast));
  void* piece = blocks_.back().data + used_;
  used_ += bytes;
  return piece;
}

void Room::Reset() {
  if (blocks_.size() > 1) {
    const size_t all = bytes();
    runtime_.Synchronize();
    ReleaseAll();
    Add(all);
  }
  used_ = 0;
}

size_t Room::bytes() const {
  size_t sum = 0;
  for (const Block& block : blocks_) sum += block.bytes;
  return sum;
}

}  // namespace alignlab::cuda
