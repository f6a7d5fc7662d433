// The innermost loops of every matrix product: R rows by V vectors of C in registers. A comes
// with its rows side by side (element (r, s) at a[s * a_step + r]), so that one pointer serves all
// rows; everything is moved as 32-bit units, whether a unit is a float or a pair of bf16.
#pragma once

#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

// The register block: 28 of 32 vector registers hold C, 12 of 16 on AVX2.
#if defined(__AVX512F__)
constexpr int kTileRows = 14, kTileVecs = 2, kWideRows = 6, kWideVecs = 4;
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVecs = 1, kWideRows = 2, kWideVecs = 2;
#else
constexpr int kTileRows = 1, kTileVecs = 1, kWideRows = 1, kWideVecs = 1;
#endif

// What becomes of a finished sum: y = sum + bias (+ y), stored as f32 or rounded once to bf16.
struct Epilogue {
  const float* bias;  // null: none; vector j at bias + 16 j
  void* y;            // vector j of row r at y + r * y_row + 16 j
  int64_t y_row;
  bool bf16, accumulate;
};

struct KernelCall {
  const float* a;
  int64_t a_step;
  const float* b;  // vector j of step s at b + j * b_vec + s * b_step
  int64_t b_vec, b_step, steps;
  float* c;
  int64_t c_row, c_vec;
  bool load;                 // start from c, else from zero
  const Epilogue* epilogue;  // null: the sums go to c
  const float* next_c;       // c of the next call, when that one loads it (else anything)
  const float* ahead;        // one line a step from here on is brought near for later calls
};

ALIGNLAB_INLINE Vec WidenEven(Vec pairs);  // the first elements of 16 pairs of bf16, as floats
ALIGNLAB_INLINE Vec WidenOdd(Vec pairs);

#if defined(__AVX512F__)
ALIGNLAB_INLINE Vec WidenEven(Vec p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(p.v), 16))};
}
ALIGNLAB_INLINE Vec WidenOdd(Vec p) {
  const __m512i high = _mm512_set1_epi32(int(0xffff0000u));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(p.v), high))};
}
#elif defined(__AVX2__)
ALIGNLAB_INLINE __m256 WidenEvenHalf(__m256 p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(p), 16));
}
ALIGNLAB_INLINE __m256 WidenOddHalf(__m256 p) {
  const __m256i high = _mm256_set1_epi32(int(0xffff0000u));
  return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(p), high));
}
ALIGNLAB_INLINE Vec WidenEven(Vec p) { return {WidenEvenHalf(p.lo), WidenEvenHalf(p.hi)}; }
ALIGNLAB_INLINE Vec WidenOdd(Vec p) { return {WidenOddHalf(p.lo), WidenOddHalf(p.hi)}; }
#else
ALIGNLAB_INLINE Vec MaskShift(Vec p, uint32_t mask, int shift) {
  uint32_t bits[kLanes];
  std::memcpy(bits, p.v, sizeof bits);
  for (int i = 0; i < kLanes; ++i) bits[i] = (bits[i] & mask) << shift;
  std::memcpy(p.v, bits, sizeof bits);
  return p;
}
ALIGNLAB_INLINE Vec WidenEven(Vec p) { return MaskShift(p, 0xffffu, 16); }
ALIGNLAB_INLINE Vec WidenOdd(Vec p) { return MaskShift(p, 0xffff0000u, 0); }
#endif

// acc[r][j] += (row r of A) (vector j of B) for one k.
template <int R, int V>
ALIGNLAB_INLINE void StepF32(Vec (&acc)[R][V], const float* a, const Vec (&b)[V]) {
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const Vec x = Set1(a[r]);
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[r][j] = Fma(x, b[j], acc[r][j]);
  }
}

struct F32Kernel {
  static constexpr int kUnits = 1;  // packed A units of one row in one step
  template <int R, int V>
  static ALIGNLAB_INLINE void Step(Vec (&acc)[R][V], const float* a, const Vec (&b)[V]) {
    StepF32<R, V>(acc, a, b);
  }
};

// A step of bf16 is a pair of k. With the instruction, A holds pairs too; without it, A is
// widened when it is packed (even elements of the rows, then odd ones), B here.
struct Bf16Kernel {
#if defined(__AVX512BF16__)
  static constexpr int kUnits = 1;
  template <int R, int V>
  static ALIGNLAB_INLINE void Step(Vec (&acc)[R][V], const float* a, const Vec (&b)[V]) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512bh x = (__m512bh)_mm512_set1_ps(a[r]);
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[r][j].v = _mm512_dpbf16_ps(acc[r][j].v, x, (__m512bh)b[j].v);
    }
  }
#else
  static constexpr int kUnits = 2;
  template <int R, int V>
  static ALIGNLAB_INLINE void Step(Vec (&acc)[R][V], const float* a, const Vec (&b)[V]) {
    Vec half[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) half[j] = WidenEven(b[j]);
    StepF32<R, V>(acc, a, half);
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) half[j] = WidenOdd(b[j]);
    StepF32<R, V>(acc, a + R, half);
  }
#endif
};

template <int R, int V>
ALIGNLAB_INLINE void Finish(Vec (&acc)[R][V], const KernelCall& t) {
  if (!t.epilogue) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) Store(t.c + r * t.c_row + j * t.c_vec, acc[r][j]);
    return;
  }
  const Epilogue& e = *t.epilogue;
  if (e.bias) {
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      const Vec bias = Load(e.bias + kLanes * j);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) acc[r][j] = Add(acc[r][j], bias);
    }
  }
  if (e.bf16) {
    uint16_t* y = static_cast<uint16_t*>(e.y);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) StoreBf16(y + r * e.y_row + kLanes * j, acc[r][j]);
    return;
  }
  float* y = static_cast<float*>(e.y);
  if (e.accumulate) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) acc[r][j] = Add(acc[r][j], Load(y + r * e.y_row + kLanes * j));
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) Store(y + r * e.y_row + kLanes * j, acc[r][j]);
}

// Steps before the end at which C is asked for: late enough that the lines are still in the first
// cache at the end, early enough that they have come.
constexpr int64_t kPrefetchSteps = 48;

// Asks for the lines of C that the end of this tile writes, or, when sums go on from C, for those
// that the next tile starts from: without it short sums wait for memory.
template <int R, int V>
ALIGNLAB_INLINE void PrefetchC(const KernelCall& t) {
  const char* c = reinterpret_cast<const char*>(t.load ? t.next_c : t.c);
  int64_t row = t.c_row * 4, vec = t.c_vec * 4;
  if (t.epilogue) {
    const int size = t.epilogue->bf16 ? 2 : 4;
    c = static_cast<const char*>(t.epilogue->y);
    row = t.epilogue->y_row * size;
    vec = kLanes * size;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) __builtin_prefetch(c + r * row + j * vec, 1);
}

#if !defined(__AVX2__)
// One row and one vector on any processor: four quarters that the compiler keeps in registers,
// where it would leave an array of sixteen lanes in memory.
typedef float Quarter __attribute__((vector_size(16)));
typedef uint32_t QuarterBits __attribute__((vector_size(16)));

template <class Kernel>
void SumSteps(Vec* acc, const KernelCall& t) {
  Quarter sum[4];
  std::memcpy(sum, acc, sizeof sum);
  for (int64_t s = 0; s < t.steps; ++s) {
    const float* a = t.a + s * t.a_step;
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      Quarter b;
      std::memcpy(&b, t.b + s * t.b_step + 4 * q, sizeof b);
      if constexpr (Kernel::kUnits == 1) {
        sum[q] = a[0] * b + sum[q];
      } else {
        const QuarterBits bits = (QuarterBits)b;
        sum[q] = a[0] * (Quarter)(bits << 16) + sum[q];
        sum[q] = a[1] * (Quarter)(bits & 0xffff0000u) + sum[q];
      }
    }
  }
  std::memcpy(acc, sum, sizeof sum);
}
#endif

template <class Kernel, int R, int V>
void RunKernel(const KernelCall& t) {
  Vec acc[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) acc[r][j] = t.load ? Load(t.c + r * t.c_row + j * t.c_vec) : Zero();
#if defined(__AVX2__)
  const float* a = t.a;
  const float* b = t.b;
  const float* ahead = t.ahead;
  const int64_t a_step = t.a_step, b_step = t.b_step, b_vec = t.b_vec;
  int64_t later = t.steps < kPrefetchSteps ? t.steps : kPrefetchSteps, now = t.steps - later;
  for (;;) {
    for (int64_t s = 0; s < now; ++s) {
      Vec column[V];
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) column[j] = Load(b + j * b_vec);
      __builtin_prefetch(ahead, 0, 2);
      ahead += kLanes;
      Kernel::template Step<R, V>(acc, a, column);
      a += a_step;
      b += b_step;
    }
    if (later == 0) break;
    PrefetchC<R, V>(t);
    now = later;
    later = 0;
  }
#else
  SumSteps<Kernel>(&acc[0][0], t);
#endif
  Finish<R, V>(acc, t);
}

using KernelFn = void (*)(const KernelCall&);

// The kernel for `rows` in [1, kTileRows] and `vecs` in [1, kTileVecs], or up to kWideVecs for up
// to kWideRows rows.
template <class Kernel>
inline KernelFn ChooseKernel(int rows, [[maybe_unused]] int vecs) {
  static constexpr KernelFn kOne[] = {
    RunKernel<Kernel, 1, 1>,
#if defined(__AVX2__)
    RunKernel<Kernel, 2, 1>,
    RunKernel<Kernel, 3, 1>,
    RunKernel<Kernel, 4, 1>,
    RunKernel<Kernel, 5, 1>,
    RunKernel<Kernel, 6, 1>,
#endif
#if defined(__AVX512F__)
    RunKernel<Kernel, 7, 1>,
    RunKernel<Kernel, 8, 1>,
    RunKernel<Kernel, 9, 1>,
    RunKernel<Kernel, 10, 1>,
    RunKernel<Kernel, 11, 1>,
    RunKernel<Kernel, 12, 1>,
    RunKernel<Kernel, 13, 1>,
    RunKernel<Kernel, 14, 1>,
#endif
  };
#if defined(__AVX512F__)
  static constexpr KernelFn kTwo[] = {
      RunKernel<Kernel, 1, 2>,  RunKernel<Kernel, 2, 2>,  RunKernel<Kernel, 3, 2>,
      RunKernel<Kernel, 4, 2>,  RunKernel<Kernel, 5, 2>,  RunKernel<Kernel, 6, 2>,
      RunKernel<Kernel, 7, 2>,  RunKernel<Kernel, 8, 2>,  RunKernel<Kernel, 9, 2>,
      RunKernel<Kernel, 10, 2>, RunKernel<Kernel, 11, 2>, RunKernel<Kernel, 12, 2>,
      RunKernel<Kernel, 13, 2>, RunKernel<Kernel, 14, 2>,
  };
  static constexpr KernelFn kFour[] = {
      RunKernel<Kernel, 1, 4>, RunKernel<Kernel, 2, 4>, RunKernel<Kernel, 3, 4>,
      RunKernel<Kernel, 4, 4>, RunKernel<Kernel, 5, 4>, RunKernel<Kernel, 6, 4>,
  };
  // Three for head dimensions such as 48: two and one would wait for the sums twice.
  static constexpr KernelFn kThree[] = {
      RunKernel<Kernel, 1, 3>, RunKernel<Kernel, 2, 3>, RunKernel<Kernel, 3, 3>,
      RunKernel<Kernel, 4, 3>, RunKernel<Kernel, 5, 3>, RunKernel<Kernel, 6, 3>,
  };
  if (vecs == 4) return kFour[rows - 1];
  if (vecs == 3) return kThree[rows - 1];
  if (vecs == 2) return kTwo[rows - 1];
#elif defined(__AVX2__)
  static constexpr KernelFn kTwo[] = {RunKernel<Kernel, 1, 2>, RunKernel<Kernel, 2, 2>};
  if (vecs == 2) return kTwo[rows - 1];
#endif
  return kOne[rows - 1];
}

// How many of `left` vectors the next kernel call takes.
inline int NextVecs(int rows, int64_t left) {
  if (rows <= kWideRows && left > kTileVecs) return int(left < kWideVecs ? left : kWideVecs);
  return left >= kTileVecs ? kTileVecs : 1;
}

// Cuts `rows` into as few tiles as fit the registers, of equal height but for one row: short
// tiles at the end would starve the multipliers.
struct RowTiles {
  int64_t rows, count, base, extra;
  explicit RowTiles(int64_t n)
      : rows(n), count((n + kTileRows - 1) / kTileRows), base(n / count), extra(n % count) {}
  int Height(int64_t i) const { return int(base + (i < extra)); }
  int64_t First(int64_t i) const { return i * base + (i < extra ? i : extra); }
};

}  // namespace
}  // namespace alignlab
