// What the operation tests share: owned random arguments with poisoned padding, comparison with a
// tolerance or bit by bit, and the loop over the instruction sets that this processor has. The loop
// over all backends is in backends.h.
#pragma once

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "cpu/backend.h"
#include "cpu/isa.h"
#include "reference/values.h"
#include "test/check.h"

namespace alignlab::test {

inline const char* Name(DType dtype) { return dtype == DType::kF32 ? "f32" : "bf16"; }
constexpr DType kComputeTypes[] = {DType::kF32, DType::kBF16};

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Bits() {  // SplitMix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double Uniform() { return double(Bits() >> 11) * 0x1p-53; }
  int64_t Below(int64_t n) { return int64_t(Bits() % uint64_t(n)); }
  double Normal() {
    return std::sqrt(-2 * std::log(1 - Uniform())) * std::cos(6.283185307179586 * Uniform());
  }
  std::vector<float> Normals(int64_t n, double scale = 1, double mean = 0) {
    std::vector<float> values(static_cast<size_t>(n));
    for (float& v : values) v = float(mean + scale * Normal());
    return values;
  }

 private:
  uint64_t state_;
};

// An owned tensor. The gaps between rows hold a NaN with a signature: an operation that reads
// them shows in its result, one that writes them shows in PaddingIntact. The block ends with the
// last row's last column, so that AddressSanitizer sees what runs past it.
class Matrix {
 public:
  Matrix(DType dtype, int64_t rows, int64_t cols, int64_t gap = 0)
      : bytes_(size_t(rows > 0 ? (rows - 1) * (cols + gap) + cols : 0) * SizeOf(dtype)) {
    tensor_ = {nullptr, dtype, rows, cols, cols + gap};
    Poison();
  }
  Matrix(DType dtype, int64_t rows, int64_t cols, int64_t gap, Random& random, double scale = 1)
      : Matrix(dtype, rows, cols, gap) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) Set(r, c, scale * random.Normal());
  }

  Tensor tensor() const {
    Tensor t = tensor_;
    t.data = const_cast<uint8_t*>(bytes_.data());
    return t;
  }
  // Rows [begin, begin + count) as a tensor of their own.
  Tensor Slice(int64_t begin, int64_t count) const {
    Tensor t = tensor();
    t.data = static_cast<uint8_t*>(t.data) + size_t(begin * t.stride) * SizeOf(t.dtype);
    t.rows = count;
    return t;
  }
  double Get(int64_t r, int64_t c) const { return reference::Value(tensor(), r, c); }
  void Set(int64_t r, int64_t c, double value) { reference::SetValue(tensor(), r, c, value); }
  void Fill(double value) {
    for (int64_t r = 0; r < rows(); ++r)
      for (int64_t c = 0; c < cols(); ++c) Set(r, c, value);
  }
  int64_t rows() const { return tensor_.rows; }
  int64_t cols() const { return tensor_.cols; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  bool operator==(const Matrix& other) const { return bytes_ == other.bytes_; }

  bool PaddingIntact() const {
    const size_t size = SizeOf(tensor_.dtype);
    for (int64_t r = 0; r + 1 < rows(); ++r)
      for (int64_t c = cols(); c < tensor_.stride; ++c)
        if (std::memcmp(&bytes_[size_t(r * tensor_.stride + c) * size], Signature(), size) != 0)
          return false;
    return true;
  }

 private:
  const uint8_t* Signature() const {  // a quiet NaN, little-endian
    static constexpr uint8_t kF32[4] = {0xef, 0xbe, 0xc0, 0x7f}, kBf16[4] = {0xc5, 0x7f, 0, 0};
    return tensor_.dtype == DType::kF32 ? kF32 : kBf16;
  }
  void Poison() {
    const size_t size = SizeOf(tensor_.dtype);
    for (size_t at = 0; at + size <= bytes_.size(); at += size)
      std::memcpy(&bytes_[at], Signature(), size);
  }

  std::vector<uint8_t> bytes_;
  Tensor tensor_;
};

// An owned weight in panels (or row-major, panel 1), its padding zero.
class OwnedWeight {
 public:
  OwnedWeight(DType dtype, int64_t out, int64_t in, int64_t panel = reference::panel_width)
      : bytes_(size_t(WeightElements(dtype, out, in, panel)) * SizeOf(dtype)), panel_(panel) {
    weight_ = {nullptr, dtype, out, in};
  }
  OwnedWeight(DType dtype, int64_t out, int64_t in, Random& random, double scale = 1,
              int64_t panel = reference::panel_width)
      : OwnedWeight(dtype, out, in, panel) {
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < in; ++i) Set(o, i, scale * random.Normal());
  }

  Weight weight() const {
    Weight w = weight_;
    w.data = const_cast<uint8_t*>(bytes_.data());
    return w;
  }
  double Get(int64_t o, int64_t i) const { return reference::WeightValue(weight(), o, i, panel_); }
  void Set(int64_t o, int64_t i, double value) {
    const int64_t at = reference::WeightIndex(weight_, o, i, panel_);
    if (weight_.dtype == DType::kF32)
      weight().f32()[at] = float(value);
    else
      weight().bf16()[at] = reference::Bf16OfFloat(float(value));
  }
  // Rows past `out` up to the whole panel (f32): what is added there must stay zero, since norms
  // and the optimizer walk over it.
  bool PaddingZero() const {
    for (int64_t o = weight_.out; o < RoundUp(weight_.out, panel_); ++o)
      for (int64_t i = 0; i < weight_.in; ++i)
        if (Get(o, i) != 0) return false;
    return true;
  }
  bool operator==(const OwnedWeight& other) const { return bytes_ == other.bytes_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  int64_t panel_;
  Weight weight_;
};

// |actual - expected| <= absolute + relative * |expected|
struct Tolerance {
  double absolute, relative;
};
// Both sides round to bf16 once: where f32 noise carries one of them across a tie they differ by
// a whole unit in the last place, at most 2^-7 of the value.
constexpr double kBf16Unit = 0x1p-7;
inline Tolerance For(DType dtype, Tolerance f32) {
  return dtype == DType::kF32 ? f32 : Tolerance{f32.absolute, f32.relative + kBf16Unit};
}

template <class Actual, class Expected>
void ExpectClose(const std::string& what, int64_t n, const Actual& actual, const Expected& expected,
                 Tolerance tolerance) {
  double worst = -1;
  std::string message;
  for (int64_t i = 0; i < n; ++i) {
    const double a = actual(i), e = expected(i);
    const double excess = std::abs(a - e) - (tolerance.absolute + tolerance.relative * std::abs(e));
    if (excess <= 0 || a == e || (std::isnan(a) && std::isnan(e))) continue;
    const double size = std::isnan(excess) ? INFINITY : excess;
    if (size <= worst) continue;
    worst = size;
    message = what + " [" + std::to_string(i) + "] is " + std::to_string(a) + ", not " +
              std::to_string(e) + ", off by " + std::to_string((a - e) * 1e6) + "e-6";
  }
  EXPECT_MESSAGE(worst < 0, message);
}
inline void ExpectClose(const std::string& what, const Matrix& actual, const Matrix& expected,
                        Tolerance tolerance) {
  const int64_t cols = actual.cols();
  ExpectClose(
      what, actual.rows() * cols, [&](int64_t i) { return actual.Get(i / cols, i % cols); },
      [&](int64_t i) { return expected.Get(i / cols, i % cols); }, tolerance);
  EXPECT_MESSAGE(actual.PaddingIntact(), what + ": wrote between the rows");
}
inline void ExpectClose(const std::string& what, const std::vector<float>& actual,
                        const std::vector<float>& expected, Tolerance tolerance) {
  ExpectClose(
      what, int64_t(actual.size()), [&](int64_t i) { return actual[size_t(i)]; },
      [&](int64_t i) { return expected[size_t(i)]; }, tolerance);
}
inline void ExpectClose(const std::string& what, const OwnedWeight& actual,
                        const OwnedWeight& expected, Tolerance tolerance) {
  const Weight w = actual.weight();
  ExpectClose(
      what, w.out * w.in, [&](int64_t i) { return actual.Get(i / w.in, i % w.in); },
      [&](int64_t i) { return expected.Get(i / w.in, i % w.in); }, tolerance);
}

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * 4));
}

// ALIGNLAB_TEST_BACKENDS=device: no instruction sets, no emulation.
inline bool OnlyDevice() {
  const char* asked = std::getenv("ALIGNLAB_TEST_BACKENDS");
  return asked && std::strcmp(asked, "device") == 0;
}

// body(table) for each instruction set that this processor has.
template <class Body>
void OnEveryInstructionSet(const Body& body, int threads = 2) {
  if (OnlyDevice()) return;
  for (const InstructionSet& set : InstructionSets()) {
    if (!set.supported) continue;
    const Context context(set.name);
    CpuBackend cpu(threads, set.name);
    body(cpu.table());
  }
}

// run(table) returns bytes or values that must be the same, bit for bit, on 1, 2 and 3 threads.
template <class Run>
void ExpectSameOnThreads(const std::string& what, const Run& run) {
  if (OnlyDevice()) return;
  for (const InstructionSet& set : InstructionSets()) {
    if (!set.supported) continue;
    const Context context(set.name);
    CpuBackend one(1, set.name), two(2, set.name), three(3, set.name);
    const auto expected = run(one.table());
    EXPECT_MESSAGE(run(two.table()) == expected, what + ": 2 threads differ from 1");
    EXPECT_MESSAGE(run(three.table()) == expected, what + ": 3 threads differ from 1");
  }
}

}  // namespace alignlab::test
