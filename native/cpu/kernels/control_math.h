// Logarithm, hyperbolic tangent, sine and cosine over sixteen lanes, and Philox in sixteen lanes:
// what only the control operations need.
#pragma once

#include "backend/philox.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

// x = mantissa * 2^exponent with mantissa in [1, 2), for normal x > 0.
struct SplitFloat {
  Vec mantissa, exponent;
};
#if defined(__AVX512F__)
inline SplitFloat SplitExponent(Vec x) {
  return {{_mm512_getmant_ps(x.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero)}, {_mm512_getexp_ps(x.v)}};
}
#elif defined(__AVX2__)
inline __m256 ExponentHalf(__m256 x) {
  const __m256i e = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(127)));
}
inline __m256 MantissaHalf(__m256 x) {
  const __m256i bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffff));
  return _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3f800000)));
}
inline SplitFloat SplitExponent(Vec x) {
  return {{MantissaHalf(x.lo), MantissaHalf(x.hi)}, {ExponentHalf(x.lo), ExponentHalf(x.hi)}};
}
#else
inline SplitFloat SplitExponent(Vec x) {
  SplitFloat s;
  for (int i = 0; i < kLanes; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &x.v[i], 4);
    s.exponent.v[i] = float(int32_t(bits >> 23) - 127);
    bits = (bits & 0x7fffff) | 0x3f800000;
    std::memcpy(&s.mantissa.v[i], &bits, 4);
  }
  return s;
}
#endif

// ln x to 2 ulp for normal x > 0 (the polynomial is that of Cephes' logf).
inline Vec Log(Vec x) {
  SplitFloat s = SplitExponent(x);
  const Mask small = Less(s.mantissa, Set1(1.41421356f));
  const Vec f = Sub(Select(small, s.mantissa, Mul(s.mantissa, Set1(0.5f))), Set1(1.0f));
  const Vec e = Select(small, s.exponent, Add(s.exponent, Set1(1.0f)));
  const Vec z = Mul(f, f);
  Vec p = Set1(7.0376836292e-2f);
  p = Fma(p, f, Set1(-1.1514610310e-1f));
  p = Fma(p, f, Set1(1.1676998740e-1f));
  p = Fma(p, f, Set1(-1.2420140846e-1f));
  p = Fma(p, f, Set1(1.4249322787e-1f));
  p = Fma(p, f, Set1(-1.6668057665e-1f));
  p = Fma(p, f, Set1(2.0000714765e-1f));
  p = Fma(p, f, Set1(-2.4999993993e-1f));
  p = Fma(p, f, Set1(3.3333331174e-1f));
  Vec y = Mul(Mul(p, f), z);
  y = Fma(e, Set1(-2.12194440e-4f), y);
  y = Fma(z, Set1(-0.5f), y);
  return Fma(e, Set1(0.693359375f), Add(f, y));
}

// tanh x: an odd polynomial near 0, where 1 - 2 / (e^2x + 1) would cancel (Cephes' tanhf).
inline Vec Tanh(Vec x) {
  const Vec z = Mul(x, x);
  Vec p = Set1(-5.70498872745e-3f);
  p = Fma(p, z, Set1(2.06390887954e-2f));
  p = Fma(p, z, Set1(-5.37397155531e-2f));
  p = Fma(p, z, Set1(1.33314422036e-1f));
  p = Fma(p, z, Set1(-3.33332819422e-1f));
  const Vec near = Fma(Mul(p, z), x, x);
  const Vec e = Exp(Add(x, x));  // +inf above 44, where the quotient is 0
  const Vec far = Sub(Set1(1.0f), Div(Set1(2.0f), Add(e, Set1(1.0f))));
  return Select(Less(z, Set1(0.390625f)), near, far);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
inline Vec Softplus(Vec x) {
  const Vec magnitude = Max(x, Sub(Zero(), x));
  const Vec e = Exp(Sub(Zero(), magnitude));
  // ln(1 + e) through Log loses e below 2^-24, and loses nothing that a float sum would keep.
  return Add(Max(x, Zero()), Log(Add(Set1(1.0f), e)));
}

// cos and sin of 2 pi v for v in [0, 1]: quarter turns, then polynomials on [-pi/4, pi/4].
inline void CosSinTurns(Vec v, Vec* cosine, Vec* sine) {
  const Vec quarters = Mul(v, Set1(4.0f));
  const Vec n = Round(quarters);
  const Vec x = Mul(Sub(quarters, n), Set1(1.57079633f)), z = Mul(x, x);
  Vec s = Set1(-1.9515295891e-4f);
  s = Fma(s, z, Set1(8.3321608736e-3f));
  s = Fma(s, z, Set1(-1.6666654611e-1f));
  s = Fma(Mul(s, z), x, x);
  Vec c = Set1(2.443315711809948e-5f);
  c = Fma(c, z, Set1(-1.388731625493765e-3f));
  c = Fma(c, z, Set1(4.166664568298827e-2f));
  c = Fma(Mul(c, z), z, Fma(z, Set1(-0.5f), Set1(1.0f)));
  // n is 0 .. 4: turns by n quarters (a, b) -> (-b, a)
  const Vec minus_s = Sub(Zero(), s), minus_c = Sub(Zero(), c);
  const Mask below1 = Less(n, Set1(0.5f)), below2 = Less(n, Set1(1.5f));
  const Mask below3 = Less(n, Set1(2.5f)), below4 = Less(n, Set1(3.5f));
  *cosine =
      Select(below1, c, Select(below2, minus_s, Select(below3, minus_c, Select(below4, s, c))));
  *sine = Select(below1, s, Select(below2, c, Select(below3, minus_s, Select(below4, minus_c, s))));
}

// Sixteen blocks of Philox4x32-10 (backend/philox.h), lane by lane.
struct PhiloxLanes {
  uint32_t word[4][kLanes];
};
inline void Philox16(uint64_t key, PhiloxLanes& c) {
  uint32_t key0 = uint32_t(key), key1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kLanes; ++i) {
      const uint64_t a = uint64_t(0xD2511F53u) * c.word[0][i];
      const uint64_t b = uint64_t(0xCD9E8D57u) * c.word[2][i];
      c.word[0][i] = uint32_t(b >> 32) ^ c.word[1][i] ^ key0;
      c.word[1][i] = uint32_t(b);
      c.word[2][i] = uint32_t(a >> 32) ^ c.word[3][i] ^ key1;
      c.word[3][i] = uint32_t(a);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

}  // namespace
}  // namespace alignlab
