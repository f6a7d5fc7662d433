// hopper.h without a GPU. Hardware may finish a copy or a product at any time between its start and
// the end of the wait for it: here each draws whether it is done at the start or at the end, so a
// wait that is missing shows for some seed. Descriptors are read from their bits.
#pragma once

#include "cuda/emulation/simt.h"

#define ALIGNLAB_HOPPER 1

namespace alignlab::cuda {

// Dimensions from the inner one on; of a matrix the last is 1.
struct TensorMap {
  const uint16_t* data = nullptr;
  int dims = 0;
  int64_t size[3] = {}, stride[3] = {};
  int box[3] = {};

  int Lines() const { return box[1] * box[2]; }
};

namespace emulation {

struct ProductOperands {
  int cols;
  bool across_a, across_b, add;
  uint64_t a, b;  // a: 0 where the threads hold it

  bool operator==(const ProductOperands&) const = default;
};

void InitBarrier(uint64_t* barrier, int arrivals);
void Arrive(uint64_t* barrier, int bytes);
void WaitBarrier(uint64_t* barrier, uint32_t parity);
// at: of the box's first element in each dimension.
void CopyBox(char* shared, const TensorMap& map, int dims, const int (&at)[3], uint64_t* barrier);
void OpenProducts();
// fragment: of A, where its descriptor is 0. It is read when the product is done.
void StartProduct(float* d, const uint32_t* fragment, const ProductOperands& operands);
void CommitProducts();
void WaitProducts(int newest);

}  // namespace emulation

inline uint32_t SharedAddress(const void* p) {
  return uint32_t(static_cast<const char*>(p) - emulation::SharedMemory());
}

inline void InitBarrier(uint64_t* barrier, int arrivals) {
  emulation::InitBarrier(barrier, arrivals);
}
inline void PublishBarriers() {}
inline void Arrive(uint64_t* barrier) { emulation::Arrive(barrier, 0); }
inline void ArriveExpecting(uint64_t* barrier, int bytes) { emulation::Arrive(barrier, bytes); }
inline void WaitBarrier(uint64_t* barrier, uint32_t parity) {
  emulation::WaitBarrier(barrier, parity);
}
inline void CopyBox(char* shared, const TensorMap& map, int row, int col, uint64_t* barrier) {
  emulation::CopyBox(shared, map, 2, {col, row, 0}, barrier);
}
inline void CopyHeads(char* shared, const TensorMap& map, int row, int head, int col,
                      uint64_t* barrier) {
  emulation::CopyBox(shared, map, 3, {col, head, row}, barrier);
}
inline int Anew(int x) { return x; }
template <int kRegisters>
void KeepRegisters() {}
template <int kRegisters>
void TakeRegisters() {}

inline void OpenProducts() { emulation::OpenProducts(); }
inline void CommitProducts() { emulation::CommitProducts(); }
template <int N>
void WaitProducts() {
  emulation::WaitProducts(N);
}
template <int kCount>
void ReadProducts(float (&)[kCount]) {}
template <bool kAcrossA, bool kAcrossB, int kCount>
void MultiplyWarpgroup(float (&d)[kCount], uint64_t a, uint64_t b, bool add) {
  static_assert(kCount == 32 || kCount == 64 || kCount == 128);
  emulation::StartProduct(d, nullptr, {2 * kCount, kAcrossA, kAcrossB, add, a, b});
}
template <bool kAcrossB, int kCount>
void MultiplyWarpgroup(float (&d)[kCount], const uint32_t (&a)[4], uint64_t b, bool add) {
  static_assert(kCount == 32 || kCount == 64);
  emulation::StartProduct(d, a, {2 * kCount, false, kAcrossB, add, 0, b});
}

}  // namespace alignlab::cuda
