// Products of warpgroups on the CPU.
#include <string>

#include "cuda/emulation/block.h"

namespace alignlab::cuda::emulation {

namespace {

constexpr int kRows = 64, kTerms = 16;

// The last thread of the warpgroup to arrive runs `last` for all of them.
template <class F>
void MeetWarpgroup(const F& last) {
  Grid& grid = *running;
  const unsigned group = grid.current->number / kWarpgroup;
  Warpgroup& of = grid.warpgroups[group];
  Fiber* begin = grid.fibers.data() + size_t(group) * kWarpgroup;
  if (size_t(group + 1) * kWarpgroup > grid.fibers.size())
    grid.fault = "a warpgroup acted together without all of its threads";
  if (++of.waiting == kWarpgroup) {
    of.waiting = 0;
    last(of);
    Release(State::kAtWarpgroup, begin, begin + kWarpgroup);
    return;
  }
  grid.current->state = State::kAtWarpgroup;
  Yield();
}

// A matrix in shared memory by the bits of its descriptor: address, leading and stride byte offset
// in units of 16 bytes, the offset of the pattern, the mode of swizzling.
class Matrix {
 public:
  Matrix(uint64_t descriptor, bool across)
      : start_(Bits(descriptor, 0, 14) << 4),
        leading_(Bits(descriptor, 16, 14) << 4),
        stride_(Bits(descriptor, 32, 14) << 4),
        across_(across) {
    constexpr uint32_t kSwizzle128 = 1;
    if (Bits(descriptor, 62, 2) != kSwizzle128 || Bits(descriptor, 49, 3) != 0)
      running->fault = "only 128-byte swizzle without an offset is emulated";
    // What the offset would be for: the first row lies at the top of a pattern.
    if (start_ % kBoxPattern >= uint32_t(kBoxLine))
      running->fault = "a matrix does not begin at the top of a pattern";
  }

  float At(uint32_t output, uint32_t term) const {
    uint32_t at = start_;
    if (across_)  // patterns of 64 outputs by 8 terms
      at += output / 64 * leading_ + term / 8 * stride_ + term % 8 * 128 + output % 64 * 2;
    else  // patterns of 8 outputs by 64 terms
      at += output / 8 * stride_ + output % 8 * 128 + term * 2;
    at ^= (at >> 7 & 7) << 4;
    if (at + 2 > kMaxShared) {
      running->fault = "a product reads outside of shared memory";
      return 0;
    }
    uint16_t bits;
    std::memcpy(&bits, SharedMemory() + at, sizeof bits);
    return FloatOfBf16(bits);
  }

 private:
  static uint32_t Bits(uint64_t x, int first, int count) {
    return uint32_t(x >> first & ((uint64_t(1) << count) - 1));
  }
  uint32_t start_, leading_, stride_;
  bool across_;
};

// d += A B^T of one block of 8 columns, which is what a register pair of each thread covers.
void MultiplyColumns(const float (&a)[kRows][kTerms], const float (&b)[kTerms][8], bool add,
                     int first, const std::array<float*, kWarpgroup>& to) {
  float d[kRows][8] = {};
  const auto place = [&](int thread, int i) -> float& {
    return d[thread / 32 * 16 + thread % 32 / 4 + i / 2 * 8][thread % 4 * 2 + i % 2];
  };
  const auto of = [&](int thread) { return to[size_t(thread)] + first / 2; };
  for (int t = 0; add && t < kWarpgroup; ++t)
    for (int i = 0; i < 4; ++i) place(t, i) = of(t)[i];
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < kTerms; ++k)
      for (int col = 0; col < 8; ++col) d[row][col] += a[row][k] * b[k][col];
  for (int t = 0; t < kWarpgroup; ++t)
    for (int i = 0; i < 4; ++i) of(t)[i] = place(t, i);
}

// A as the registers of the threads hold it: two terms each, of rows 8 apart, then 8 terms further.
void GatherRows(const std::array<const uint32_t*, kWarpgroup>& fragments,
                float (&a)[kRows][kTerms]) {
  for (int t = 0; t < kWarpgroup; ++t)
    for (int i = 0; i < 4; ++i) {
      const int row = t / 32 * 16 + t % 32 / 4 + i % 2 * 8, term = t % 4 * 2 + i / 2 * 8;
      const uint32_t pair = fragments[size_t(t)][i];
      a[row][term] = FloatOfBf16(uint16_t(pair));
      a[row][term + 1] = FloatOfBf16(uint16_t(pair >> 16));
    }
}

void LoadRows(const Matrix& matrix, float (&a)[kRows][kTerms]) {
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < kTerms; ++k) a[row][k] = matrix.At(uint32_t(row), uint32_t(k));
}

void Multiply(const GroupProduct& product) {
  const ProductOperands& of = product.operands;
  const Matrix b(of.b, of.across_b);
  float of_a[kRows][kTerms], of_b[kTerms][8];
  if (product.fragments[0])
    GatherRows(product.fragments, of_a);
  else
    LoadRows({of.a, of.across_a}, of_a);
  for (int first = 0; first < of.cols; first += 8) {
    for (int k = 0; k < kTerms; ++k)
      for (int col = 0; col < 8; ++col) of_b[k][col] = b.At(uint32_t(first + col), uint32_t(k));
    MultiplyColumns(of_a, of_b, of.add, first, product.d);
  }
}

// Products of groups before `end`, in order.
void Finish(Warpgroup& of, unsigned end) {
  while (!of.products.empty() && of.products.front().group < end) {
    Multiply(of.products.front());
    of.products.pop_front();
  }
}

}  // namespace

// PTX wants a fence before the first product and wherever registers were touched in between; here,
// before each group.
void OpenProducts() {
  MeetWarpgroup([](Warpgroup& of) { of.fenced = true; });
}

void StartProduct(float* d, const uint32_t* fragment, const ProductOperands& operands) {
  Warpgroup& mine = running->warpgroups[running->current->number / kWarpgroup];
  const unsigned thread = running->current->number % kWarpgroup;
  mine.slots[thread] = operands;
  mine.d[thread] = d;
  mine.fragments[thread] = fragment;
  MeetWarpgroup([](Warpgroup& of) {
    for (const ProductOperands& other : of.slots)
      if (other != of.slots[0]) running->fault = "threads of a warpgroup named different matrices";
    if (!of.fenced) running->fault = "products were started without a fence";
    of.products.push_back({of.slots[0], of.groups, of.d, of.fragments});
    if (running->random() % 2) Finish(of, of.groups + 1);
  });
}

void CommitProducts() {
  MeetWarpgroup([](Warpgroup& of) {
    ++of.groups;
    of.fenced = false;
  });
}

void WaitProducts(int newest) {
  MeetWarpgroup([&](Warpgroup& of) {
    if (of.groups > unsigned(newest)) Finish(of, of.groups - unsigned(newest));
  });
}

const char* FaultOfRest(const Grid& grid) {
  if (!grid.boxes.empty()) return "an asynchronous copy was never waited for";
  for (const Warpgroup& of : grid.warpgroups)
    if (!of.products.empty()) return "a product was never waited for";
  return nullptr;
}

}  // namespace alignlab::cuda::emulation
