// Brings operands into the forms the kernels read: A with the rows of a tile side by side, B in
// vectors of 16 columns. A unit is 32 bits: a float, or a pair of bf16 along k.
#pragma once

#include "cpu/kernels/tile_kernel.h"

namespace alignlab {
namespace {

// Packed stores write whole vectors and overlap: room for one vector more is needed at the end.
constexpr int64_t kPackSlack = kLanes;

#if defined(__AVX512F__)

inline void Transpose16(Vec (&m)[16]) {
  __m512 t[16], u[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(m[i].v, m[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(m[i].v, m[i + 1].v);
  }
  const auto low = [](__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  const auto high = [](__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
#pragma GCC unroll 4
  for (int g = 0; g < 16; g += 4) {
    u[g] = low(t[g], t[g + 2]);
    u[g + 1] = high(t[g], t[g + 2]);
    u[g + 2] = low(t[g + 1], t[g + 3]);
    u[g + 3] = high(t[g + 1], t[g + 3]);
  }
  // Quarter q of u[4g + c] now holds rows 4g .. 4g+3 of column 4q + c.
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    const __m512 even_a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x88);
    const __m512 odd_a = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xdd);
    const __m512 even_b = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x88);
    const __m512 odd_b = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xdd);
    m[c].v = _mm512_shuffle_f32x4(even_a, even_b, 0x88);
    m[4 + c].v = _mm512_shuffle_f32x4(odd_a, odd_b, 0x88);
    m[8 + c].v = _mm512_shuffle_f32x4(even_a, even_b, 0xdd);
    m[12 + c].v = _mm512_shuffle_f32x4(odd_a, odd_b, 0xdd);
  }
}

#elif defined(__AVX2__)

inline void Transpose8(__m256 (&m)[8]) {
  __m256 t[8], u[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
  }
#pragma GCC unroll 2
  for (int g = 0; g < 8; g += 4) {
    u[g] = _mm256_shuffle_ps(t[g], t[g + 2], 0x44);
    u[g + 1] = _mm256_shuffle_ps(t[g], t[g + 2], 0xee);
    u[g + 2] = _mm256_shuffle_ps(t[g + 1], t[g + 3], 0x44);
    u[g + 3] = _mm256_shuffle_ps(t[g + 1], t[g + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    m[c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
    m[4 + c] = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
  }
}
inline void Transpose16(Vec (&m)[16]) {
  __m256 a[8], b[8], c[8], d[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    a[i] = m[i].lo;
    b[i] = m[i].hi;
    c[i] = m[8 + i].lo;
    d[i] = m[8 + i].hi;
  }
  Transpose8(a);
  Transpose8(b);
  Transpose8(c);
  Transpose8(d);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    m[i] = {a[i], c[i]};
    m[8 + i] = {b[i], d[i]};
  }
}

#else

inline void Transpose16(Vec (&m)[16]) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < i; ++j) {
      float a, b;
      std::memcpy(&a, &m[i].v[j], 4);
      std::memcpy(&b, &m[j].v[i], 4);
      std::memcpy(&m[i].v[j], &b, 4);
      std::memcpy(&m[j].v[i], &a, 4);
    }
}

#endif

// 16 pairs of bf16, one unit of each, from two vectors of elements: (even[i], odd[i]).
inline Vec LoadPairs(const uint16_t* even, const uint16_t* odd, int n) {
#if defined(__AVX512F__)
  const __mmask16 lanes = FirstLanes(n).m;
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, even));
  const __m512i high =
      odd ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, odd)) : _mm512_setzero_si512();
  return {_mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)))};
#else
#if defined(__AVX2__)
  if (n == kLanes && odd) {
    const auto widen = [](const uint16_t* p) {
      return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    };
    const auto join = [](__m256i low, __m256i high) {
      return _mm256_castsi256_ps(_mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
    };
    return {join(widen(even), widen(odd)), join(widen(even + 8), widen(odd + 8))};
  }
#endif
  uint16_t pairs[2 * kLanes] = {};
  for (int i = 0; i < n && i < kLanes; ++i) {
    pairs[2 * i] = even[i];
    if (odd) pairs[2 * i + 1] = odd[i];
  }
  Vec v;
  std::memcpy(&v, pairs, sizeof v);
  return v;
#endif
}

// Units of one step of a packed tile: for bf16 without the instruction, evens then odds, widened.
inline void StoreUnits(F32Kernel, float* to, int, Vec units) { Store(to, units); }
inline void StoreUnits(Bf16Kernel, float* to, int rows, Vec units) {
  if constexpr (Bf16Kernel::kUnits == 1) {
    Store(to, units);
  } else {
    Store(to, WidenEven(units));
    Store(to + rows, WidenOdd(units));
  }
}

// to[s][r] = unit s of row r, rows being contiguous; `row_bytes` from one row to the next.
template <class Kernel>
void PackRows(const void* from, int64_t row_bytes, int rows, int64_t steps, float* to) {
  const char* base = static_cast<const char*>(from);
#if defined(__AVX2__)
  for (int64_t s = 0; s < steps; s += kLanes) {
    const int n = int(steps - s < kLanes ? steps - s : kLanes);
    Vec m[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) {
      if (r >= rows) {
        m[r] = Zero();
        continue;
      }
      const float* row = reinterpret_cast<const float*>(base + r * row_bytes) + s;
      m[r] = n == kLanes ? Load(row) : LoadPartial(row, n);
      // The same place in the tile below, which is packed next.
      __builtin_prefetch(reinterpret_cast<const char*>(row) + rows * row_bytes, 0, 2);
    }
    Transpose16(m);
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i)
      if (i < n) StoreUnits(Kernel{}, to + (s + i) * rows * Kernel::kUnits, rows, m[i]);
  }
#else
  for (int64_t s = 0; s < steps; ++s) {
    float units[kLanes] = {};
    for (int r = 0; r < rows; ++r) std::memcpy(units + r, base + r * row_bytes + s * 4, 4);
    StoreUnits(Kernel{}, to + s * rows * Kernel::kUnits, rows, Load(units));
  }
#endif
}

// A rows x k block of a row-major matrix. With an odd k the last bf16 pair is completed with 0.
inline void PackTile(F32Kernel, const float* a, int64_t stride, int rows, int64_t k, float* to) {
  PackRows<F32Kernel>(a, stride * 4, rows, k, to);
}
inline void PackTile(Bf16Kernel, const uint16_t* a, int64_t stride, int rows, int64_t k,
                     float* to) {
  PackRows<Bf16Kernel>(a, stride * 2, rows, k / 2, to);
  if (k % 2 == 0) return;
  uint16_t pairs[2 * kLanes] = {};
  for (int r = 0; r < rows; ++r) pairs[2 * r] = a[r * stride + k - 1];
  Vec v;
  std::memcpy(&v, pairs, sizeof v);
  StoreUnits(Bf16Kernel{}, to + k / 2 * rows * Bf16Kernel::kUnits, rows, v);
}

// One step of a matrix whose k runs down its rows: columns [0, n), zero above.
inline Vec LoadStep(const float* from, int64_t, bool, int n) {
  return n == kLanes ? Load(from) : LoadPartial(from, n);
}
inline Vec LoadStep(const uint16_t* from, int64_t stride, bool pair, int n) {
  return LoadPairs(from, pair ? from + stride : nullptr, n);
}

// Steps are packed in runs of this many, all columns of a run before the next: whole rows of the
// source are read while they are near.
constexpr int64_t kPackRun = 16;

// What the next run reads in the place of this step.
template <class T>
inline void PrefetchRun(const T* step, int64_t stride) {
  constexpr int64_t kPerStep = 4 / sizeof(T);
  const T* next = step + kPackRun * kPerStep * stride;
  for (int64_t i = 0; i < kPerStep; ++i) __builtin_prefetch(next + i * stride, 0, 2);
}

// The tiles of a transposed A: row r is column r of `from`, k runs down its `k` rows. Tile i
// starts at to + First(i) * steps * kUnits.
template <class Kernel, class T>
void PackColumnTiles(const T* from, int64_t stride, const RowTiles& tiles, int64_t k, float* to) {
  constexpr int64_t kPerStep = 4 / sizeof(T);
  const int64_t steps = (k + kPerStep - 1) / kPerStep;
  for (int64_t s0 = 0; s0 < steps; s0 += kPackRun)
    for (int64_t i = 0; i < tiles.count; ++i) {
      const int rows = tiles.Height(i);
      float* tile = to + tiles.First(i) * steps * Kernel::kUnits;
      const T* columns = from + tiles.First(i);
      const int64_t end = s0 + kPackRun < steps ? s0 + kPackRun : steps;
      const int64_t size = rows * Kernel::kUnits;
      for (int64_t s = s0; s < end; ++s) {
        const T* step = columns + s * kPerStep * stride;
        PrefetchRun(step, stride);
        const Vec units = LoadStep(step, stride, s * kPerStep + 1 < k, rows);
        if ((steps - s) * size >= size + kPackSlack) {
          StoreUnits(Kernel{}, tile + s * size, rows, units);
          continue;
        }
        // A whole vector would reach into the next tile, whose start is there already.
        float exact[2 * kLanes];
        StoreUnits(Kernel{}, exact, rows, units);
        std::memcpy(tile + s * size, exact, size_t(size) * 4);
      }
    }
}

// B from a matrix whose k runs down its rows: vector j holds columns 16j .. 16j+15 of `cols`,
// zero above, at to + j * steps * 16.
template <class T>
void PackVectors(const T* from, int64_t stride, int64_t cols, int64_t k, float* to) {
  constexpr int64_t kPerStep = 4 / sizeof(T);
  const int64_t steps = (k + kPerStep - 1) / kPerStep;
  for (int64_t s0 = 0; s0 < steps; s0 += kPackRun)
    for (int64_t c = 0; c < cols; c += kLanes) {
      const int n = int(cols - c < kLanes ? cols - c : kLanes);
      const int64_t end = s0 + kPackRun < steps ? s0 + kPackRun : steps;
      for (int64_t s = s0; s < end; ++s) {
        const T* step = from + s * kPerStep * stride + c;
        PrefetchRun(step, stride);
        Store(to + c * steps + s * kLanes, LoadStep(step, stride, s * kPerStep + 1 < k, n));
      }
    }
}

}  // namespace
}  // namespace alignlab
