// Page numbers of a key/value cache, taken and given back by segments. The memory behind them is
// each decoder's own: models that decode together use the same numbers.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace alignlab {

class PagePool {
 public:
  explicit PagePool(int64_t pages);

  // Page numbers for tokens [0, length) of a segment that has `pages` already.
  void Extend(std::vector<int32_t>& pages, int64_t length);
  void Release(std::vector<int32_t>& pages);

  static int64_t PagesFor(int64_t tokens) { return (tokens + kPage - 1) / kPage; }

 private:
  std::vector<int32_t> free_;
};

}  // namespace alignlab
