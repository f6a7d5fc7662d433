// Pieces of matrices in shared memory, as the products of tile_bf16.h and tile_f32.h read them.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

// A matrix in global memory; `stride` elements from row to row. What lies outside of it is zero.
template <class T>
struct MatrixView {
  const T* data;
  int64_t rows, cols, stride;

  // Whether every 16 bytes that a piece copies are aligned and wholly inside or outside.
  bool Aligned() const {
    constexpr int64_t kPerChunk = 16 / sizeof(T);
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % kPerChunk == 0 &&
           cols % kPerChunk == 0;
  }
};

// kRows rows of kChunks chunks of 16 bytes. Where chunk c of several rows is read at once, it lies
// at place c ^ f(r) of row r, such that that of 8 successive rows lies in 8 different groups of 4
// banks, and so do 8 successive chunks of one row.
template <int kRows_, int kChunks_, bool kSwizzled>
struct Piece {
  static constexpr int kRows = kRows_, kChunks = kChunks_;
  static constexpr int kBytes = kRows * kChunks * 16;
  static constexpr int kMask = kChunks < 8 ? kChunks - 1 : 7;
  static constexpr int kRowsOfLine = kChunks < 8 ? 8 / kChunks : 1;  // of 128 bytes
  static_assert((kChunks & (kChunks - 1)) == 0);

  __device__ static int At(int row, int chunk) {
    if constexpr (!kSwizzled) return (row * kChunks + chunk) * 16;
    return (row * kChunks + (chunk ^ (row / kRowsOfLine & kMask))) * 16;
  }
};

// Elements from `col` on of rows row_of(0), row_of(1) .. of the matrix to a piece. Without kAligned
// the copy is done by the thread itself, element by element.
template <class P, int kThreads, bool kAligned, class T, class RowOf>
__device__ __forceinline__ void CopyPiece(char* to, const MatrixView<T>& from, const RowOf& row_of,
                                          int64_t col) {
  constexpr int kPerChunk = 16 / sizeof(T), kCount = P::kRows * P::kChunks;
  ALIGNLAB_UNROLL
  for (int first = 0; first < kCount; first += kThreads) {
    const int i = first + int(threadIdx.x);
    if (kCount % kThreads != 0 && i >= kCount) break;
    const int64_t r = row_of(i / P::kChunks), c = col + i % P::kChunks * kPerChunk;
    char* place = to + P::At(i / P::kChunks, i % P::kChunks);
    const T* source = from.data + r * from.stride + c;
    if constexpr (kAligned) {
      const bool inside = r < from.rows && c < from.cols;
      CopyAsync16(place, inside ? source : from.data, inside);
    } else {
      for (int e = 0; e < kPerChunk; ++e)
        reinterpret_cast<T*>(place)[e] = r < from.rows && c + e < from.cols ? source[e] : T(0);
    }
  }
}

// Which index of an operand runs along the rows of its memory: that of the sum (x and W in x W^T),
// or that of the output (W in d_y W).
enum class Along { kDepth, kOutput };

// A piece of an operand: kWidth outputs by kDepth terms. Threads read f32 outputs along one row.
template <class T, Along kAlong, int kWidth, int kDepth>
struct OperandPiece : Piece<kAlong == Along::kDepth ? kWidth : kDepth,
                            (kAlong == Along::kDepth ? kDepth : kWidth) * int(sizeof(T)) / 16,
                            kAlong == Along::kDepth || sizeof(T) == 2> {
  template <int kThreads, bool kAligned>
  __device__ static void Copy(char* to, const MatrixView<T>& from, int64_t output, int64_t term) {
    const int64_t row = kAlong == Along::kDepth ? output : term;
    CopyPiece<OperandPiece, kThreads, kAligned>(
        to, from, [=](int r) { return row + r; }, kAlong == Along::kDepth ? term : output);
  }
};

// Two outputs for each, rows along the depth: of kGroup rows of the piece the first half are those
// from an output on, the second half the same of the matrix's second half.
template <int kWidth, int kDepth, int kGroup>
struct PairedOperandPiece : OperandPiece<uint16_t, Along::kDepth, kWidth, kDepth> {
  template <int kThreads, bool kAligned>
  __device__ static void Copy(char* to, const MatrixView<uint16_t>& from, int64_t output,
                              int64_t term) {
    constexpr int kHalf = kGroup / 2;
    const int64_t apart = from.rows / 2;
    CopyPiece<PairedOperandPiece, kThreads, kAligned>(
        to, from,
        [=](int r) {
          return output + r / kGroup * kHalf + r % kHalf + (r % kGroup < kHalf ? 0 : apart);
        },
        term);
  }
};

}  // namespace alignlab::cuda
