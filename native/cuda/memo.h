// Values that are made of a few numbers once, and kept for the next time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace alignlab::cuda {

template <class Value, size_t kNumbers>
class Memo {
 public:
  using Key = std::array<int64_t, kNumbers>;

  // When there are `most` values all are forgotten: they are cheap, but not for ever.
  explicit Memo(size_t most) : most_(most) {}

  // What make() gave for this key, or gives now. It stays where it is until the next call.
  template <class Make>
  const Value& Of(const Key& key, const Make& make) {
    const auto found = kept_.find(key);
    if (found != kept_.end()) return found->second;
    if (kept_.size() >= most_) kept_.clear();
    return kept_.emplace(key, make()).first->second;
  }

 private:
  size_t most_;
  std::map<Key, Value> kept_;
};

}  // namespace alignlab::cuda
