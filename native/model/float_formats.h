// The number formats of checkpoint files, one element at a time.
#pragma once

#include <cstring>

#include "backend/tensor.h"

namespace alignlab {

inline uint32_t BitsOf(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float FromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline bool IsFinite(float x) { return (BitsOf(x) & 0x7f800000u) != 0x7f800000u; }

// IEEE half precision, by exponent arithmetic: exact both ways, nearest even downwards.
inline float FromHalf(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 1023;
  if (exponent == 31) return FromBits(sign | 0x7f800000u | (fraction << 13));
  const float magnitude = exponent == 0 ? float(fraction) * 0x1p-24f
                                        : FromBits(((exponent + 112) << 23) | (fraction << 13));
  return FromBits(BitsOf(magnitude) | sign);
}
inline uint16_t ToHalf(float x) {
  const uint32_t bits = BitsOf(x), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x47800000u) return uint16_t(sign | 0x7c00);  // 65536 and up; inf
  if (magnitude < 0x38800000u) {  // below the smallest normal: a multiple of 2^-24
    // Adding 0.5 leaves that multiple, rounded to nearest even, in the low bits of the sum.
    return uint16_t(sign | (BitsOf(FromBits(magnitude) + 0.5f) - BitsOf(0.5f)));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return uint16_t(sign | ((magnitude - 0x38000000u + 0xfff + odd) >> 13));
}
inline uint16_t ToBf16(float x) {
  const uint32_t bits = BitsOf(x);
  if (x != x) return uint16_t((bits | 0x400000) >> 16);
  return uint16_t((bits + ((bits >> 16) & 1) + 0x7fff) >> 16);
}

template <DType dtype>
struct FloatFormat {
  static float Read(const char* base, int64_t index) {
    if constexpr (dtype == DType::kF32) {
      float x;
      std::memcpy(&x, base + index * 4, 4);
      return x;
    } else {
      uint16_t h;
      std::memcpy(&h, base + index * 2, 2);
      return dtype == DType::kBF16 ? FromBits(uint32_t(h) << 16) : FromHalf(h);
    }
  }
  static void Write(char* base, int64_t index, float x) {
    if constexpr (dtype == DType::kF32) {
      std::memcpy(base + index * 4, &x, 4);
    } else {
      const uint16_t h = dtype == DType::kBF16 ? ToBf16(x) : ToHalf(x);
      std::memcpy(base + index * 2, &h, 2);
    }
  }
};

}  // namespace alignlab
