// The key/value cache of one generation: pages of kPage tokens, taken and given back by segments.
#pragma once

#include <utility>
#include <vector>

#include "model/transformer.h"

namespace alignlab {

class KvPool {
 public:
  // `memory`: at least Bytes(config, pages); what is in it does not matter.
  KvPool(const ModelConfig& config, int64_t pages, Buffer memory);
  static size_t Bytes(const ModelConfig& config, int64_t pages) {
    return size_t(config.layers * pages * PageFloats(config)) * 4;
  }
  Buffer TakeMemory() { return std::move(buffer_); }

  // Page numbers for tokens [0, length) of a segment that has `pages` already.
  void Extend(std::vector<int32_t>& pages, int64_t length);
  void Release(std::vector<int32_t>& pages);
  KvStore store() const { return {buffer_.f32(), page_floats_, layer_stride_}; }

  static int64_t PagesFor(int64_t tokens) { return (tokens + kPage - 1) / kPage; }

 private:
  int64_t page_floats_, layer_stride_;
  std::vector<int32_t> free_;
  Buffer buffer_;
};

}  // namespace alignlab
