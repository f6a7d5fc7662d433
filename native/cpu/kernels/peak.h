// Nothing but multiply-adds on registers: what the arithmetic units can do at most.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"
#if defined(__AMX_BF16__)
#include "cpu/kernels/amx.h"
#endif

namespace alignlab {
namespace {

// More than an instruction's latency times its rate, and no more than the registers hold: the bf16
// product of AVX-512 takes long.
#if defined(__AVX512F__)
constexpr int kChains = 24;
#else
constexpr int kChains = 6;
#endif

inline float BurnF32(int64_t rounds) {
  Vec chain[kChains];
  for (auto& c : chain) c = Set1(1.0f);
  const Vec a = Set1(0.999f), b = Set1(1e-3f);
  for (int64_t r = 0; r < rounds; ++r)
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chain[i] = Fma(chain[i], a, b);
  float sum = 0;
  for (const auto& c : chain) sum += ReduceAdd(c);
  return sum;
}
constexpr int64_t kF32Flops = kChains * kLanes * 2;  // of a round

#if defined(__AMX_BF16__)
inline float BurnBf16(int64_t rounds) {
  const TileUnit unit;  // all zero
  for (int64_t r = 0; r < rounds; ++r) {
    TileMultiply<0, 4, 6>();
    TileMultiply<1, 4, 7>();
    TileMultiply<2, 5, 6>();
    TileMultiply<3, 5, 7>();
  }
  return 0;
}
constexpr int64_t kBf16Flops = 4 * 2 * kAmxRows * kLanes * kAmxDepth;  // of a round
#elif defined(__AVX512BF16__)
inline float BurnBf16(int64_t rounds) {
  const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f803f80),
                 b = (__m512bh)_mm512_set1_epi32(0x3a803a80);
  __m512 chain[kChains];
  for (auto& c : chain) c = _mm512_set1_ps(1.0f);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chain[i] = _mm512_dpbf16_ps(chain[i], a, b);
  }
  float sum = 0;
  for (auto& c : chain) sum += _mm512_cvtss_f32(c);
  return sum;
}
constexpr int64_t kBf16Flops = kChains * kLanes * 4;
#else
inline float BurnBf16(int64_t rounds) { return BurnF32(rounds); }
constexpr int64_t kBf16Flops = kF32Flops;
#endif

// Returns the floating-point operations done by all threads together. Without bf16 instructions
// the bf16 limit is the f32 one.
int64_t Burn(void* device, DType dtype, int64_t rounds) {
  const int64_t tasks = static_cast<Pool*>(device)->threads();
  const bool bf16 = dtype == DType::kBF16;
  float results[1024] = {};
  ParallelFor(device, tasks, [&](int64_t task, Worker&) {
    results[task % 1024] = bf16 ? BurnBf16(rounds) : BurnF32(rounds);
  });
  const bool finite = results[0] == results[0];
  return finite ? tasks * rounds * (bf16 ? kBf16Flops : kF32Flops) : 0;
}

}  // namespace
}  // namespace alignlab
