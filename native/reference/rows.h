// Convert, GatherRows, ScatterAddRows, SumSquares and Axpby by definition.
#pragma once

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

inline void Convert(const Tensor& src, const Tensor& dst) {
  for (int64_t r = 0; r < src.rows; ++r)
    for (int64_t c = 0; c < src.cols; ++c) SetValue(dst, r, c, Value(src, r, c));
}

inline void GatherRows(const Tensor& src, const int64_t* rows, const Tensor& dst) {
  for (int64_t i = 0; i < dst.rows; ++i)
    for (int64_t c = 0; c < dst.cols; ++c) SetValue(dst, i, c, Value(src, rows[i], c));
}

inline void ScatterAddRows(const Tensor& src, const int64_t* rows, const Tensor& dst) {
  for (int64_t i = 0; i < src.rows; ++i)
    for (int64_t c = 0; c < src.cols; ++c)
      SetValue(dst, rows[i], c, Value(dst, rows[i], c) + Value(src, i, c));
}

inline double SumSquares(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

// y is not read when b is 0.
inline void Axpby(float a, const float* x, float b, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = float(double(a) * x[i] + (b == 0 ? 0 : double(b) * y[i]));
}

}  // namespace alignlab::reference
