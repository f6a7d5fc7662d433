// One tile of A B^T in f32, without tensor cores: their TF32 would round the operands. Each output
// is one accumulator that products are added to by Fma, terms ascending.
#pragma once

#include "cuda/kernels/tile_copy.h"

namespace alignlab::cuda {

// 16 x 16 threads, kDown x kAcross outputs each, kDepth terms at a time.
template <int kDown, int kAcross, int kDepth_, Along kAlongA, Along kAlongB>
struct PlainTile {
  using Element = float;
  static constexpr int kRows = 16 * kDown, kCols = 16 * kAcross, kDepth = kDepth_;
  static constexpr int kThreads = 256;
  using PieceA = OperandPiece<float, kAlongA, kRows, kDepth>;
  using PieceB = OperandPiece<float, kAlongB, kCols, kDepth>;

  float sum[kDown][kAcross];

  // A warp is 4 threads down by 8 across.
  __device__ static int Down() { return int(threadIdx.x) / 64 * 4 + int(threadIdx.x) % 32 / 8; }
  __device__ static int Across() { return int(threadIdx.x) / 32 % 2 * 8 + int(threadIdx.x) % 8; }

  // Where output i of a thread's kCount lies, such that a warp reads without conflicts of banks:
  // 16 apart, or in groups of successive ones where those are read together.
  template <Along kAlong, int kCount>
  __device__ static int Output(int thread, int i) {
    constexpr int kGroup = kCount < 4 ? kCount : 4;
    return kAlong == Along::kDepth ? thread + 16 * i
                                   : i / kGroup * 16 * kGroup + thread * kGroup + i % kGroup;
  }

  __device__ __forceinline__ void Clear() {
    ALIGNLAB_UNROLL
    for (auto& row : sum) {
      ALIGNLAB_UNROLL
      for (float& x : row) x = 0;
    }
  }

  // sum += A B^T over the pieces.
  __device__ __forceinline__ void Multiply(const char* a, const char* b) {
    // Unrolled, its loads come so early that registers run out.
    ALIGNLAB_KEEP_LOOP
    for (int term = 0; term < kDepth; term += 4) {
      float of_a[4][kDown];
      ALIGNLAB_UNROLL
      for (int i = 0; kAlongA == Along::kDepth && i < kDown; ++i) {
        const float4 x = FourTerms<PieceA>(a, Output<kAlongA, kDown>(Down(), i), term);
        of_a[0][i] = x.x, of_a[1][i] = x.y, of_a[2][i] = x.z, of_a[3][i] = x.w;
      }
      if constexpr (kAlongB == Along::kDepth) {
        static_assert(kAlongA == Along::kDepth);
        ALIGNLAB_UNROLL
        for (int j = 0; j < kAcross; ++j) {
          const float4 x = FourTerms<PieceB>(b, Output<kAlongB, kAcross>(Across(), j), term);
          const float of_b[4] = {x.x, x.y, x.z, x.w};
          ALIGNLAB_UNROLL
          for (int t = 0; t < 4; ++t) {
            ALIGNLAB_UNROLL
            for (int i = 0; i < kDown; ++i) sum[i][j] = Fma(of_a[t][i], of_b[t], sum[i][j]);
          }
        }
      } else {
        ALIGNLAB_UNROLL
        for (int t = 0; t < 4; ++t) {
          float of_b[kAcross];
          Outputs<PieceB>(of_b, b, Across(), term + t);
          if constexpr (kAlongA == Along::kOutput) Outputs<PieceA>(of_a[t], a, Down(), term + t);
          ALIGNLAB_UNROLL
          for (int i = 0; i < kDown; ++i) {
            ALIGNLAB_UNROLL
            for (int j = 0; j < kAcross; ++j) sum[i][j] = Fma(of_a[t][i], of_b[j], sum[i][j]);
          }
        }
      }
    }
  }

  // As TensorTile's; One only.
  template <class Epilogue>
  __device__ __forceinline__ void Emit(int64_t row, int64_t col, int64_t rows, int64_t cols,
                                       const Epilogue& epilogue) const {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kDown; ++i) {
      const int64_t r = row + Output<kAlongA, kDown>(Down(), i);
      if (r >= rows) continue;
      const auto out = epilogue.Row(r);
      ALIGNLAB_UNROLL
      for (int j = 0; j < kAcross; ++j) {
        const int64_t c = col + Output<kAlongB, kAcross>(Across(), j);
        if (c < cols) out.One(c, sum[i][j]);
      }
    }
  }

 private:
  template <class P>
  __device__ __forceinline__ static float4 FourTerms(const char* piece, int output, int term) {
    return *reinterpret_cast<const float4*>(piece + P::At(output, term / 4));
  }
  // A thread's kCount outputs of one term, four at a time where four lie side by side.
  template <class P, int kCount>
  __device__ __forceinline__ static void Outputs(float (&to)[kCount], const char* piece, int thread,
                                                 int term) {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const int output = Output<Along::kOutput, kCount>(thread, i);
      const char* chunk = piece + P::At(term, output / 4);
      if constexpr (kCount % 4 == 0) {
        if (i % 4 != 0) continue;
        const float4 x = *reinterpret_cast<const float4*>(chunk);
        to[i] = x.x, to[i + 1] = x.y, to[i + 2] = x.z, to[i + 3] = x.w;
      } else {
        to[i] = reinterpret_cast<const float*>(chunk)[output % 4];
      }
    }
  }
};

}  // namespace alignlab::cuda
