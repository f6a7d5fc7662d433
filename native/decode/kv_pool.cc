#include "decode/kv_pool.h"

namespace alignlab {

KvPool::KvPool(const ModelConfig& config, int64_t pages, Buffer memory)
    : page_floats_(PageFloats(config)),
      layer_stride_(pages * page_floats_),
      buffer_(std::move(memory)) {
  for (int64_t p = pages; p-- > 0;) free_.push_back(int32_t(p));
}

void KvPool::Extend(std::vector<int32_t>& pages, int64_t length) {
  while (int64_t(pages.size()) < PagesFor(length)) {
    Check(!free_.empty(), "the key/value cache was sized for every sequence");
    pages.push_back(free_.back());
    free_.pop_back();
  }
}

void KvPool::Release(std::vector<int32_t>& pages) {
  free_.insert(free_.end(), pages.rbegin(), pages.rend());
  pages.clear();
}

}  // namespace alignlab
