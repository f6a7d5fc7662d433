#include "cpu/limits.h"

#include <algorithm>
#include <chrono>

#include "backend/buffer.h"

namespace alignlab {

namespace {

constexpr int kRepeats = 5;  // the best of five: a limit is not an average

template <class Body>
double BestSeconds(const Body& body) {
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double Flops(const Backend& backend, DType dtype) {
  int64_t done = 0;
  const double seconds =
      BestSeconds([&] { done = backend.ops.burn(backend.device, dtype, 1'500'000); });
  return double(done) / seconds;
}

}  // namespace

MachineLimits MeasureMachine(const Backend& backend) {
  // Far beyond any cache.
  constexpr int64_t kFloats = int64_t(64) << 20;
  Buffer memory(size_t(kFloats) * 4, "measuring the memory bandwidth");
  float* x = memory.f32();
  for (int64_t i = 0; i < kFloats; i += 1024) x[i] = 1;  // give every page memory of its own
  const double seconds = BestSeconds([&] { backend.ops.sum_squares(backend.device, x, kFloats); });
  return {Flops(backend, DType::kF32), Flops(backend, DType::kBF16), double(kFloats) * 4 / seconds};
}

}  // namespace alignlab
