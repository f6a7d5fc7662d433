// Views of memory that somebody else owns. Nothing here allocates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace alignlab {

enum class DType : int32_t { kF32 = 0, kBF16 = 1, kF16 = 2 };  // kF16 exists on disk only

constexpr size_t SizeOf(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// Row-major; `stride` counts elements from one row to the next.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0, cols = 0, stride = 0;

  float* f32() const { return static_cast<float*>(data); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data); }
};

// A weight matrix y = x W^T, W: (out, in), in panels of `Backend::panel` outputs (P below).
//   f32:  element (o, i) at ((o / P) * in + i) * P + o % P          (P = 1 is row-major)
//   bf16: pairs along i:  ((o / P) * InPairs(in) + i / 2) * 2P + (o % P) * 2 + i % 2
// with out rounded up to whole panels and in (bf16 only) to whole pairs; the padding is zero.
// The f32 form holds master weights and gradients, so that every elementwise operation
// (AdamW, norms, sums) is blind to the layout.
struct Weight {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t out = 0, in = 0;

  float* f32() const { return static_cast<float*>(data); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data); }
};

constexpr int64_t RoundUp(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

constexpr int64_t WeightElements(DType dtype, int64_t out, int64_t in, int64_t panel) {
  return RoundUp(out, panel) * (dtype == DType::kF32 ? in : RoundUp(in, 2));
}

}  // namespace alignlab
