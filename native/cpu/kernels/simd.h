// Sixteen float lanes, the unit of every CPU kernel, over the instruction set this file is
// compiled for. Everything is in an anonymous namespace: the same source is compiled several
// times with different flags, and a symbol shared between those objects would let the linker keep
// the copy that the machine cannot run (CONTRIBUTING.md, "A kernel").
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Not a wish: past a budget for the whole object GCC stops to inline, and the sums of a tile that
// were handed to one call then live in memory (the 6 x 1 tile on AVX2 took three times as long).
#define ALIGNLAB_INLINE inline __attribute__((always_inline))

namespace alignlab {
namespace {

constexpr int kLanes = 16;

#if defined(__AVX512F__)

struct Vec {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};
ALIGNLAB_INLINE Vec Zero() { return {_mm512_setzero_ps()}; }
ALIGNLAB_INLINE Vec Set1(float x) { return {_mm512_set1_ps(x)}; }
ALIGNLAB_INLINE Vec Load(const float* p) { return {_mm512_loadu_ps(p)}; }
ALIGNLAB_INLINE void Store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
ALIGNLAB_INLINE Mask FirstLanes(int n) { return {__mmask16(n >= 16 ? 0xffff : (1u << n) - 1)}; }
ALIGNLAB_INLINE Vec LoadPartial(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(FirstLanes(n).m, p)};
}
ALIGNLAB_INLINE void StorePartial(float* p, Vec a, int n) {
  _mm512_mask_storeu_ps(p, FirstLanes(n).m, a.v);
}
ALIGNLAB_INLINE Vec Add(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Sub(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Mul(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Div(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
ALIGNLAB_INLINE Vec Max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
ALIGNLAB_INLINE Vec Sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
ALIGNLAB_INLINE Vec Round(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
ALIGNLAB_INLINE Mask Less(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
ALIGNLAB_INLINE Vec Select(Mask m, Vec yes, Vec no) {
  return {_mm512_mask_blend_ps(m.m, no.v, yes.v)};
}
// a * 2^n for n a whole number in [-126, 127]
ALIGNLAB_INLINE Vec Scale2(Vec a, Vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }
ALIGNLAB_INLINE Vec LoadBf16(const uint16_t* p) {
  const __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16))};
}
// To nearest, ties to even; NaN stays NaN.
ALIGNLAB_INLINE void StoreBf16(uint16_t* p, Vec a) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
  const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
  up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
}

#elif defined(__AVX2__)

struct Vec {
  __m256 lo, hi;
};
struct Mask {
  __m256 lo, hi;
};
ALIGNLAB_INLINE Vec Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
ALIGNLAB_INLINE Vec Set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
ALIGNLAB_INLINE Vec Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
ALIGNLAB_INLINE void Store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
ALIGNLAB_INLINE Mask FirstLanes(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)),
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8), lane))};
}
ALIGNLAB_INLINE Vec LoadPartial(const float* p, int n) {
  const Mask m = FirstLanes(n);
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)),
          _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
}
ALIGNLAB_INLINE void StorePartial(float* p, Vec a, int n) {
  const Mask m = FirstLanes(n);
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), a.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), a.hi);
}
ALIGNLAB_INLINE Vec Add(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Sub(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Mul(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Div(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
ALIGNLAB_INLINE Vec Max(Vec a, Vec b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Min(Vec a, Vec b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
ALIGNLAB_INLINE Vec Sqrt(Vec a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
ALIGNLAB_INLINE Vec Round(Vec a) {
  constexpr int mode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.lo, mode), _mm256_round_ps(a.hi, mode)};
}
ALIGNLAB_INLINE Mask Less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
ALIGNLAB_INLINE Vec Select(Mask m, Vec yes, Vec no) {
  return {_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
}
ALIGNLAB_INLINE __m256 Scale2Half(__m256 a, __m256 n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
ALIGNLAB_INLINE Vec Scale2(Vec a, Vec n) {
  return {Scale2Half(a.lo, n.lo), Scale2Half(a.hi, n.hi)};
}
ALIGNLAB_INLINE __m256 LoadBf16Half(const uint16_t* p) {
  const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
ALIGNLAB_INLINE Vec LoadBf16(const uint16_t* p) { return {LoadBf16Half(p), LoadBf16Half(p + 8)}; }
ALIGNLAB_INLINE __m256i RoundBf16Half(__m256 a) {
  const __m256i bits = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  return _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
}
ALIGNLAB_INLINE void StoreBf16(uint16_t* p, Vec a) {
  const __m256i packed = _mm256_packus_epi32(RoundBf16Half(a.lo), RoundBf16Half(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

#else  // any processor: plain lanes, left to the compiler

struct Vec {
  float v[16];
};
struct Mask {
  bool m[16];
};
#define ALIGNLAB_LANES(expression)                        \
  do {                                                    \
    for (int i = 0; i < kLanes; ++i) r.v[i] = expression; \
  } while (false)
ALIGNLAB_INLINE Vec Zero() { return Vec{}; }
ALIGNLAB_INLINE Vec Set1(float x) {
  Vec r;
  ALIGNLAB_LANES(x);
  return r;
}
ALIGNLAB_INLINE Vec Load(const float* p) {
  Vec r;
  std::memcpy(r.v, p, sizeof r.v);
  return r;
}
ALIGNLAB_INLINE void Store(float* p, Vec a) { std::memcpy(p, a.v, sizeof a.v); }
ALIGNLAB_INLINE Mask FirstLanes(int n) {
  Mask r;
  for (int i = 0; i < kLanes; ++i) r.m[i] = i < n;
  return r;
}
ALIGNLAB_INLINE Vec LoadPartial(const float* p, int n) {
  Vec r{};
  for (int i = 0; i < n && i < kLanes; ++i) r.v[i] = p[i];
  return r;
}
ALIGNLAB_INLINE void StorePartial(float* p, Vec a, int n) {
  for (int i = 0; i < n && i < kLanes; ++i) p[i] = a.v[i];
}
ALIGNLAB_INLINE Vec Add(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] + b.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Sub(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] - b.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Mul(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] * b.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Div(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] / b.v[i]);
  return r;
}
// Two roundings here: without hardware FMA a fused one costs a library call per lane.
ALIGNLAB_INLINE Vec Fma(Vec a, Vec b, Vec c) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] * b.v[i] + c.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Max(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] > b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Min(Vec a, Vec b) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] < b.v[i] ? a.v[i] : b.v[i]);
  return r;
}
ALIGNLAB_INLINE Vec Sqrt(Vec a) {
  Vec r;
  ALIGNLAB_LANES(__builtin_sqrtf(a.v[i]));
  return r;
}
ALIGNLAB_INLINE Vec Round(Vec a) {
  Vec r;
  ALIGNLAB_LANES(__builtin_rintf(a.v[i]));
  return r;
}
ALIGNLAB_INLINE Mask Less(Vec a, Vec b) {
  Mask r;
  for (int i = 0; i < kLanes; ++i) r.m[i] = a.v[i] < b.v[i];
  return r;
}
ALIGNLAB_INLINE Vec Select(Mask m, Vec yes, Vec no) {
  Vec r;
  ALIGNLAB_LANES(m.m[i] ? yes.v[i] : no.v[i]);
  return r;
}
ALIGNLAB_INLINE float Power2(float n) {
  const uint32_t bits = uint32_t(int32_t(n) + 127) << 23;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
ALIGNLAB_INLINE Vec Scale2(Vec a, Vec n) {
  Vec r;
  ALIGNLAB_LANES(a.v[i] * Power2(n.v[i]));
  return r;
}
ALIGNLAB_INLINE float WidenBf16(uint16_t h) {
  const uint32_t bits = uint32_t(h) << 16;
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
ALIGNLAB_INLINE uint16_t RoundBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return uint16_t((bits | 0x400000) >> 16);
  return uint16_t((bits + ((bits >> 16) & 1) + 0x7fff) >> 16);
}
ALIGNLAB_INLINE Vec LoadBf16(const uint16_t* p) {
  Vec r;
  ALIGNLAB_LANES(WidenBf16(p[i]));
  return r;
}
ALIGNLAB_INLINE void StoreBf16(uint16_t* p, Vec a) {
  for (int i = 0; i < kLanes; ++i) p[i] = RoundBf16(a.v[i]);
}
#undef ALIGNLAB_LANES

#endif

// The same lanes through either storage type; n < 16 loads zeros above and stores n values.
ALIGNLAB_INLINE Vec LoadAs(const float* p) { return Load(p); }
ALIGNLAB_INLINE Vec LoadAs(const uint16_t* p) { return LoadBf16(p); }
ALIGNLAB_INLINE void StoreAs(float* p, Vec a) { Store(p, a); }
ALIGNLAB_INLINE void StoreAs(uint16_t* p, Vec a) { StoreBf16(p, a); }
ALIGNLAB_INLINE Vec LoadPartialAs(const float* p, int n) { return LoadPartial(p, n); }
ALIGNLAB_INLINE Vec LoadPartialAs(const uint16_t* p, int n) {
  uint16_t lanes[kLanes] = {};
  std::memcpy(lanes, p, size_t(n < kLanes ? n : kLanes) * 2);
  return LoadBf16(lanes);
}
ALIGNLAB_INLINE void StorePartialAs(float* p, Vec a, int n) { StorePartial(p, a, n); }
ALIGNLAB_INLINE void StorePartialAs(uint16_t* p, Vec a, int n) {
  uint16_t lanes[kLanes];
  StoreBf16(lanes, a);
  std::memcpy(p, lanes, size_t(n < kLanes ? n : kLanes) * 2);
}

// One fixed tree: lane i with i+8, then +4, +2, +1.
ALIGNLAB_INLINE float ReduceAdd(Vec a) {
  float t[kLanes];
  Store(t, a);
  for (int half = 8; half >= 1; half /= 2)
    for (int i = 0; i < half; ++i) t[i] += t[i + half];
  return t[0];
}
ALIGNLAB_INLINE float ReduceMax(Vec a) {
  float t[kLanes];
  Store(t, a);
  for (int half = 8; half >= 1; half /= 2)
    for (int i = 0; i < half; ++i) t[i] = t[i] > t[i + half] ? t[i] : t[i + half];
  return t[0];
}

// e^x to 2 ulp; exactly 0 below -87 (so that -inf, a masked score, gives an exact zero and no
// denormal is ever produced), +inf above 88.7.
ALIGNLAB_INLINE Vec Exp(Vec x) {
  const Vec low = Set1(-87.0f), high = Set1(88.72284f);
  // Operands in this order: a NaN in x comes through.
  const Vec clamped = Min(high, Max(low, x));
  // 2^n is applied as 2^(n-1) * 2, so that n = 128 does not overflow before the multiplication.
  const Vec n = Round(Mul(clamped, Set1(1.44269504f)));
  Vec r = Fma(n, Set1(-0.693359375f), clamped);
  r = Fma(n, Set1(2.12194440e-4f), r);
  Vec p = Set1(1.9875691500e-4f);
  p = Fma(p, r, Set1(1.3981999507e-3f));
  p = Fma(p, r, Set1(8.3334519073e-3f));
  p = Fma(p, r, Set1(4.1665795894e-2f));
  p = Fma(p, r, Set1(1.6666665459e-1f));
  p = Fma(p, r, Set1(5.0000001201e-1f));
  p = Fma(Mul(p, r), r, Add(r, Set1(1.0f)));
  const Vec y = Mul(Scale2(p, Sub(n, Set1(1.0f))), Set1(2.0f));
  const Vec with_zero = Select(Less(x, low), Zero(), y);
  return Select(Less(high, x), Set1(INFINITY), with_zero);
}
ALIGNLAB_INLINE Vec Sigmoid(Vec x) { return Div(Set1(1.0f), Add(Set1(1.0f), Exp(Sub(Zero(), x)))); }

}  // namespace
}  // namespace alignlab
