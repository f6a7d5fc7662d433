// simt.h without a GPU: each thread of a block is a fiber with a stack of its own, and the blocks
// of a grid run one after the other. A thread runs until it meets the others (__syncthreads, a
// shuffle, a matrix product), so a barrier that is missing shows in the result; the order in which
// threads run is drawn anew for each block (emulation.h). Asynchronous copies arrive when they are
// waited for and not before. Tensor-core products add in f32, k ascending: the layouts of
// operands and results are the hardware's, the rounding inside one product need not be.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static thread_local  // blocks of one emulated device run on one thread
#define __align__(n) alignas(n)
#define __restrict__
#define ALIGNLAB_UNROLL
#define ALIGNLAB_KEEP_LOOP

namespace alignlab::cuda {

struct Index3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace emulation {

Index3 ThreadIndex();
Index3 BlockIndex();
Index3 BlockSize();
Index3 GridSize();
char* SharedMemory();
void BlockBarrier();
void WarpBarrier();
void CopyAsync(void* shared, const void* global, bool valid);
void CommitCopies();
void WaitCopies(int newest);

// Leaves `size` <= 32 bytes where all lanes of the warp can read them, waits for all of them, and
// returns the place of lane 0's; lane i's is kSlot * i bytes further on.
constexpr size_t kSlot = 32;
const unsigned char* Exchange(const void* value, size_t size);
void Mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1);

}  // namespace emulation

#define threadIdx (::alignlab::cuda::emulation::ThreadIndex())
#define blockIdx (::alignlab::cuda::emulation::BlockIndex())
#define blockDim (::alignlab::cuda::emulation::BlockSize())
#define gridDim (::alignlab::cuda::emulation::GridSize())

inline void __syncthreads() { emulation::BlockBarrier(); }

inline char* DynamicShared() { return emulation::SharedMemory(); }

inline int LaneOfThread() {
  const Index3 t = threadIdx, n = blockDim;
  return int((t.x + n.x * (t.y + n.y * t.z)) % 32);
}

template <class T>
T Shuffle(T x, int lane) {
  static_assert(sizeof(T) <= emulation::kSlot);
  std::memcpy(&x, emulation::Exchange(&x, sizeof x) + emulation::kSlot * size_t(lane % 32),
              sizeof x);
  return x;
}
template <class T>
T ShuffleXor(T x, int mask) {
  return Shuffle(x, LaneOfThread() ^ mask);
}
inline uint32_t Ballot(bool x) {
  const unsigned char* slots = emulation::Exchange(&x, sizeof x);
  uint32_t bits = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    bits |= uint32_t(slots[emulation::kSlot * lane] != 0) << lane;
  return bits;
}
inline void SyncWarp() { emulation::WarpBarrier(); }

inline float Fma(float a, float b, float c) { return std::fma(a, b, c); }
inline float Exp(float x) { return std::exp(x); }
inline float Exp2(float x) { return std::exp2(x); }
inline float Exp2Quick(float x) { return x < -126 ? 0.0f : std::exp2(x); }
inline float Log(float x) { return std::log(x); }
inline double Log(double x) { return std::log(x); }
inline double Exp(double x) { return std::exp(x); }
inline double Log1p(double x) { return std::log1p(x); }
inline void SinCosPi(float x, float* sine, float* cosine) {
  *sine = float(std::sin(M_PI * double(x)));
  *cosine = float(std::cos(M_PI * double(x)));
}
inline float Tanh(float x) { return std::tanh(x); }
inline float Erfc(float x) { return std::erfc(x); }
inline float Sqrt(float x) { return std::sqrt(x); }
inline float Divide(float a, float b) { return a / b; }
inline float Max(float a, float b) { return std::fmax(a, b); }
inline float Min(float a, float b) { return std::fmin(a, b); }

inline void AtomicAdd(uint64_t* to, uint64_t x) { *to += x; }

inline void CopyAsync16(void* shared, const void* global, bool valid) {
  emulation::CopyAsync(shared, global, valid);
}
inline void CommitAsync() { emulation::CommitCopies(); }
template <int N>
void WaitAsync() {
  emulation::WaitCopies(N);
}

inline void LoadMatrix4(uint32_t (&r)[4], const void* row) {
  const unsigned char* slots = emulation::Exchange(&row, sizeof row);
  const int lane = LaneOfThread();
  for (int j = 0; j < 4; ++j) {
    const unsigned char* from;
    std::memcpy(&from, slots + emulation::kSlot * size_t(8 * j + lane / 4), sizeof from);
    std::memcpy(&r[j], from + 4 * (lane % 4), 4);
  }
}
inline void LoadMatrix4Transposed(uint32_t (&r)[4], const void* row) {
  const unsigned char* slots = emulation::Exchange(&row, sizeof row);
  const int lane = LaneOfThread();
  for (int j = 0; j < 4; ++j) {
    uint16_t pair[2];
    for (int i = 0; i < 2; ++i) {
      const unsigned char* from;
      std::memcpy(&from, slots + emulation::kSlot * size_t(8 * j + 2 * (lane % 4) + i),
                  sizeof from);
      std::memcpy(&pair[i], from + 2 * (lane / 4), 2);
    }
    r[j] = uint32_t(pair[0]) | uint32_t(pair[1]) << 16;
  }
}

inline void MmaBf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  emulation::Mma(d, a, b0, b1);
}

}  // namespace alignlab::cuda
