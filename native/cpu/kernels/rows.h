// Row-wise loops: how rows and columns are cut into tasks, partial vectors at a row's end, and the
// operations that only move rows (Convert, GatherRows, ScatterAddRows).
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

constexpr int64_t kTaskElements = 16384;  // about 5 us of work, against 0.1 us to start a task
constexpr int64_t kColumnBlock = 4 * kLanes;

inline int64_t Smaller(int64_t a, int64_t b) { return a < b ? a : b; }

inline Tensor RowRange(const Tensor& t, int64_t first, int64_t rows) {
  const int64_t bytes = first * t.stride * int64_t(SizeOf(t.dtype));
  return {static_cast<char*>(t.data) + bytes, t.dtype, rows, t.cols, t.stride};
}

// n >= 16 is known when the loop body is inlined: the whole-vector form costs no mask.
template <class T>
inline Vec LoadN(const T* p, int64_t n) {
  return n >= kLanes ? LoadAs(p) : LoadPartialAs(p, int(n));
}
template <class T>
inline void StoreN(T* p, Vec a, int64_t n) {
  if (n >= kLanes)
    StoreAs(p, a);
  else
    StorePartialAs(p, a, int(n));
}

// body(c, n) for each 16 columns of [begin, end); n < 16 at the end only.
template <class F>
inline void ForVectors(int64_t begin, int64_t end, const F& body) {
  int64_t c = begin;
  for (; c + kLanes <= end; c += kLanes) body(c, int64_t(kLanes));
  if (c < end) body(c, end - c);
}

// Sum over the columns of term(c, n), whose lanes from n on are zero: four interleaved partial
// sums and one tree, a function of the number of columns only.
template <class F>
inline float SumColumns(int64_t cols, const F& term) {
  Vec sum[4] = {Zero(), Zero(), Zero(), Zero()};
  int64_t c = 0;
  for (; c + kColumnBlock <= cols; c += kColumnBlock)
    for (int j = 0; j < 4; ++j) sum[j] = Add(sum[j], term(c + j * kLanes, int64_t(kLanes)));
  for (int j = 0; c < cols; c += kLanes, ++j)
    sum[j] = Add(sum[j], term(c, Smaller(cols - c, kLanes)));
  return ReduceAdd(Add(Add(sum[0], sum[1]), Add(sum[2], sum[3])));
}

// body(r) for each row.
template <class F>
inline void ForRows(void* device, int64_t rows, int64_t cols, const F& body) {
  const int64_t block = cols >= kTaskElements ? 1 : kTaskElements / (cols > 0 ? cols : 1);
  ParallelFor(device, (rows + block - 1) / block, [&](int64_t task, Worker&) {
    const int64_t end = Smaller(rows, (task + 1) * block);
    for (int64_t r = task * block; r < end; ++r) body(r);
  });
}

// body(begin, end) for blocks of columns; inside, rows are walked in ascending order, so that a sum
// over rows has one order whatever the number of threads.
template <class F>
inline void ForColumnBlocks(void* device, int64_t cols, const F& body) {
  ParallelFor(device, (cols + kColumnBlock - 1) / kColumnBlock, [&](int64_t task, Worker&) {
    body(task * kColumnBlock, Smaller(cols, (task + 1) * kColumnBlock));
  });
}

// body(begin, end) for chunks of a flat array.
template <class F>
inline void ForChunks(void* device, int64_t n, const F& body) {
  ParallelFor(device, (n + kTaskElements - 1) / kTaskElements, [&](int64_t task, Worker&) {
    body(task * kTaskElements, Smaller(n, (task + 1) * kTaskElements));
  });
}

template <class From, class To>
inline void ConvertRows(void* device, const From* from, const Tensor& src, To* to,
                        const Tensor& dst) {
  ForRows(device, src.rows, src.cols, [&](int64_t r) {
    const From* x = from + r * src.stride;
    To* y = to + r * dst.stride;
    ForVectors(0, src.cols, [&](int64_t c, int64_t n) { StoreN(y + c, LoadN(x + c, n), n); });
  });
}

inline void Convert(void* device, Tensor src, Tensor dst) {
  if (src.dtype == dst.dtype) {  // a copy keeps every bit, those of NaN included
    const size_t size = SizeOf(src.dtype);
    ForRows(device, src.rows, src.cols, [&](int64_t r) {
      std::memcpy(static_cast<char*>(dst.data) + size_t(r * dst.stride) * size,
                  static_cast<const char*>(src.data) + size_t(r * src.stride) * size,
                  size_t(src.cols) * size);
    });
  } else if (src.dtype == DType::kF32) {
    ConvertRows(device, src.f32(), src, dst.bf16(), dst);
  } else {
    ConvertRows(device, src.bf16(), src, dst.f32(), dst);
  }
}

inline void GatherRows(void* device, Tensor src, const int64_t* rows, Tensor dst) {
  ForRows(device, dst.rows, dst.cols, [&](int64_t i) {
    std::memcpy(dst.f32() + i * dst.stride, src.f32() + rows[i] * src.stride,
                size_t(dst.cols) * sizeof(float));
  });
}

inline void ScatterAddRows(void* device, Tensor src, const int64_t* rows, Tensor dst) {
  ForColumnBlocks(device, src.cols, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < src.rows; ++i) {
      const float* x = src.f32() + i * src.stride;
      float* y = dst.f32() + rows[i] * dst.stride;
      ForVectors(begin, end, [&](int64_t c, int64_t n) {
        StoreN(y + c, Add(LoadN(y + c, n), LoadN(x + c, n)), n);
      });
    }
  });
}

}  // namespace
}  // namespace alignlab
