// What the two attention kernels share: the way from a segment to its root, where a page keeps the
// keys and values of one head, and rows of heads.
#pragma once

#include <cstdlib>
#include <new>

#include "backend/backend.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

// Memory for one call. Plain C, so that no template is instantiated per instruction set.
class CallMemory {
 public:
  explicit CallMemory(size_t bytes) : data_(std::malloc(bytes ? bytes : 1)) {
    if (!data_) throw std::bad_alloc();
  }
  ~CallMemory() { std::free(data_); }
  CallMemory(const CallMemory&) = delete;
  CallMemory& operator=(const CallMemory&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

inline int64_t PathLength(const AttentionSegment* segments, int32_t segment) {
  int64_t length = 0;
  for (int32_t s = segment; s >= 0; s = segments[s].parent) ++length;
  return length;
}

// path[0] is the root, path[length - 1] the segment itself.
inline void FillPath(const AttentionSegment* segments, int32_t segment, int64_t length,
                     int32_t* path) {
  int32_t s = segment;
  for (int64_t i = length - 1; i >= 0; --i, s = segments[s].parent) path[i] = s;
}

inline const float* PageKeys(const KvPages& kv, int32_t page, int64_t kv_head) {
  return kv.f32() + page * kv.page_stride + 2 * kv_head * kPage * kv.head_dim;
}
inline const float* PageValues(const KvPages& kv, int32_t page, int64_t kv_head) {
  return PageKeys(kv, page, kv_head) + kPage * kv.head_dim;
}

inline int64_t PageCount(int64_t tokens) { return (tokens + kPage - 1) / kPage; }
inline int64_t PageTokens(int64_t tokens, int64_t page) {
  const int64_t left = tokens - page * kPage;
  return left < kPage ? left : kPage;
}

// Scores carry log2 e, so that probabilities are powers of two.
constexpr float kLog2E = 1.44269504f, kLn2 = 0.693147181f;

// 2^x for x <= 0 (up to rounding) to 2e-7; exactly 0 below -126, so that no denormal is produced.
// The coefficients minimise the largest relative error on [-1/2, 1/2]. NaN stays NaN.
inline Vec Exp2(Vec x) {
  const Vec low = Set1(-126.0f), clamped = Max(low, x);
  const Vec n = Round(clamped), r = Sub(clamped, n);
  Vec p = Set1(1.326472615e-3f);
  p = Fma(p, r, Set1(9.671512991e-3f));
  p = Fma(p, r, Set1(5.550733581e-2f));
  p = Fma(p, r, Set1(2.402224243e-1f));
  p = Fma(p, r, Set1(6.931470037e-1f));
  p = Fma(p, r, Set1(1.0f));
  return Select(Less(x, low), Zero(), Scale2(p, n));
}

// Copies the `group` heads of one key/value head, of successive tokens, into rows
// (token * group + head) of `width` floats, times `scale`, zero above head_dim.
inline void PackHeads(const Tensor& x, int64_t row, int64_t count, int64_t kv_head, int64_t group,
                      int64_t head_dim, float scale, int64_t width, float* out) {
  const Vec factor = Set1(scale);
  for (int64_t i = 0; i < count * group; ++i, out += width) {
    const float* from =
        x.f32() + (row + i / group) * x.stride + (kv_head * group + i % group) * head_dim;
    int64_t k = 0;
    for (; k + kLanes <= head_dim; k += kLanes) Store(out + k, Mul(Load(from + k), factor));
    for (; k < width; k += kLanes)
      StorePartial(out + k, Mul(LoadPartial(from + k, int(head_dim - k)), factor),
                   int(width - k < kLanes ? width - k : kLanes));
  }
}

}  // namespace
}  // namespace alignlab
