// Weight panels between f32 (master copies, gradients) and bf16 (what the products read).
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/tile_kernel.h"

namespace alignlab {
namespace {

// 32 bf16 values, (a[0], b[0], a[1], b[1], ...), each rounded to nearest even.
inline void StorePairs(uint16_t* to, Vec a, Vec b) {
  uint16_t even[kLanes], odd[kLanes];
  StoreBf16(even, a);
  StoreBf16(odd, b);
#if defined(__AVX512F__)
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)even));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)odd));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
#else
  for (int i = 0; i < kLanes; ++i) {
    to[2 * i] = even[i];
    to[2 * i + 1] = odd[i];
  }
#endif
}

// One task per panel of 16 outputs.
inline void PackWeight(void* device, Weight f32, Weight bf16) {
  const int64_t in = f32.in, pairs = (in + 1) / 2;
  ParallelFor(device, (f32.out + kLanes - 1) / kLanes, [&](int64_t p, Worker&) {
    const float* from = f32.f32() + p * in * kLanes;
    uint16_t* to = bf16.bf16() + p * pairs * 2 * kLanes;
    for (int64_t i = 0; i < pairs; ++i)
      StorePairs(to + i * 2 * kLanes, Load(from + 2 * i * kLanes),
                 2 * i + 1 < in ? Load(from + (2 * i + 1) * kLanes) : Zero());
  });
}

inline void UnpackWeight(void* device, Weight bf16, Weight f32) {
  const int64_t in = f32.in, pairs = (in + 1) / 2;
  ParallelFor(device, (f32.out + kLanes - 1) / kLanes, [&](int64_t p, Worker&) {
    const uint16_t* from = bf16.bf16() + p * pairs * 2 * kLanes;
    float* to = f32.f32() + p * in * kLanes;
    for (int64_t i = 0; i < pairs; ++i) {
      Vec units;
      std::memcpy(&units, from + i * 2 * kLanes, sizeof units);
      Store(to + 2 * i * kLanes, WidenEven(units));
      if (2 * i + 1 < in) Store(to + (2 * i + 1) * kLanes, WidenOdd(units));
    }
  });
}

}  // namespace
}  // namespace alignlab
