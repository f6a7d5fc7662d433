#include "decode/page_pool.h"

#include "error.h"

namespace alignlab {

PagePool::PagePool(int64_t pages) {
  for (int64_t p = pages; p-- > 0;) free_.push_back(int32_t(p));
}

void PagePool::Extend(std::vector<int32_t>& pages, int64_t length) {
  while (int64_t(pages.size()) < PagesFor(length)) {
    Check(!free_.empty(), "the key/value cache was sized for every sequence");
    pages.push_back(free_.back());
    free_.pop_back();
  }
}

void PagePool::Release(std::vector<int32_t>& pages) {
  free_.insert(free_.end(), pages.rbegin(), pages.rend());
  pages.clear();
}

}  // namespace alignlab
