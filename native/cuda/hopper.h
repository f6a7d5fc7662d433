// The words of Hopper (compute capability 9.0, built for sm_90a) that simt.h does not have:
// matrices copied to shared memory in boxes by the tensor memory accelerator (TMA), barriers in
// shared memory that count arrivals and bytes, products that four warps start and wait for. Kernels
// that say them have a body only where ALIGNLAB_HOPPER is 1.
#pragma once

#include "cuda/simt.h"

#if defined(__CUDACC__)
#include "cuda/hopper_nvcc.h"
#else
#include "cuda/emulation/hopper.h"
#endif

namespace alignlab::cuda {

constexpr int kWarpgroup = 4 * kWarp;

// Rows of bf16 in global memory, `stride` elements apart, to be read in boxes of box_rows rows by
// kBoxCols columns. What of a box lies outside of the matrix is zero. In shared memory a box is
// rows of 128 bytes from an address on that 128 divides, and the 16-byte chunk c of the row that
// begins at address a lies at place c ^ a / 128 % 8 of it ("128-byte swizzle"): boxes one behind
// the other are one box.
constexpr int kBoxCols = 64;
constexpr int kBoxLine = 128;      // bytes of a box's row
constexpr int kBoxPattern = 1024;  // bytes after which the places of chunks repeat
struct BoxedMatrix {
  const void* data;
  int64_t rows, cols, stride;
  int box_rows;

  // Whether the TMA can read it.
  bool Fits() const {
    constexpr int64_t kMost = int64_t(1) << 31;  // coordinates are int
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % 8 == 0 && stride < kMost &&
           rows > 0 && cols > 0 && rows < kMost && cols < kMost;
  }
};

// Heads of the rows of a matrix, `heads` of them `head_stride` elements apart in each of `rows`
// rows that are `row_stride` apart, to be read in boxes of box_rows rows by box_heads heads by
// kBoxCols columns. In shared memory a row's heads follow one another, each like the row of a
// BoxedMatrix.
struct BoxedHeads {
  const void* data;
  int64_t rows, heads, cols, row_stride, head_stride;
  int box_rows, box_heads;

  // Whether the TMA can read it.
  bool Fits() const {
    const BoxedMatrix of_row{data, heads, cols, head_stride, box_heads};
    return of_row.Fits() && BoxedMatrix{data, rows, cols, row_stride, box_rows}.Fits();
  }
};

// Whether the driver can make tensor maps.
bool HasTensorMaps();
// Throws Error DEVICE_LOST when the driver refuses a matrix that Fits.
TensorMap MakeTensorMap(const BoxedMatrix& matrix);
TensorMap MakeTensorMap(const BoxedHeads& heads);

// Where dynamic shared memory reaches the first multiple of kBoxPattern, which is more than it is
// sure to begin at. A kernel asks for kBoxPattern bytes more than it uses from here on.
__device__ __forceinline__ char* PatternedShared() {
  char* start = DynamicShared();
  return start + (kBoxPattern - SharedAddress(start) % kBoxPattern) % kBoxPattern;
}

// The descriptor of a matrix in shared memory for MultiplyWarpgroup, 128-byte swizzle; its first
// row begins at a multiple of kBoxPattern. Rows along the depth: 8 rows to the next 8 are `stride`
// bytes. Rows along the outputs: 8 terms to the next 8 are `stride` bytes, 64 outputs to the next
// 64 are `leading` bytes.
__device__ __forceinline__ uint64_t SharedMatrix(const char* start, int leading, int stride) {
  constexpr uint64_t kSwizzle128 = uint64_t(1) << 62;
  return uint64_t((SharedAddress(start) & 0x3ffff) >> 4) | uint64_t(leading >> 4) << 16 |
         uint64_t(stride >> 4) << 32 | kSwizzle128;
}

// A place in a ring of stages that are filled and emptied in turn. A stage's parity changes each
// time around.
struct RingPlace {
  int stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void Next(int stages) {
    if (++stage < stages) return;
    stage = 0;
    parity ^= 1;
  }
};

}  // namespace alignlab::cuda
