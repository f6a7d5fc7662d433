#include "backend/limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "backend/buffer.h"

namespace alignlab {

namespace {

constexpr int kRepeats = 5;  // the best of five: a limit is not an average
// Beside it, what a launch and a clock take is nothing.
constexpr double kLeastSeconds = 0.02;

template <class Body>
double Seconds(const Body& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <class Body>
double BestSeconds(const Body& body) {
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) best = std::min(best, Seconds(body));
  return best;
}

// As many rounds as take a while: devices differ by a factor of a million, the emulated one
// included.
double Flops(const Backend& backend, DType dtype) {
  int64_t rounds = 4, done = 0;
  const auto burn = [&] { done = backend.ops.burn(backend.device, dtype, rounds); };
  while (Seconds(burn) < kLeastSeconds) rounds *= 4;
  const double seconds = BestSeconds(burn);
  return double(done) / seconds;
}

// Gives every page memory of its own, and numbers that no device can take for zeros.
void Fill(const Backend& backend, float* x, int64_t count) {
  if (backend.memory.host) {
    for (int64_t i = 0; i < count; i += 1024) x[i] = 1;
    return;
  }
  std::vector<float> piece(size_t(1) << 20);
  for (size_t i = 0; i < piece.size(); ++i) piece[i] = float(i % 1009) * 1e-3f;
  const auto step = int64_t(piece.size());
  for (int64_t i = 0; i < count; i += step)
    backend.memory.copy_in(backend.device, x + i, piece.data(),
                           size_t(std::min(step, count - i)) * 4);
}

double BytesPerSecond(const Backend& backend) {
  // Far beyond any cache; up to 4 GiB on a device that reads 256 MiB before one could ask it again.
  constexpr int64_t kFloats = int64_t(64) << 20, kMost = int64_t(1) << 30;
  int64_t count = kFloats;
  for (;; count *= 4) {
    const Buffer memory(backend, size_t(count) * 4, "measuring the memory bandwidth");
    float* x = memory.f32();
    Fill(backend, x, count);
    const auto read = [&] { backend.ops.sum_squares(backend.device, x, count); };
    if (backend.memory.host || count == kMost || Seconds(read) >= kLeastSeconds)
      return double(count) * 4 / BestSeconds(read);
  }
}

}  // namespace

MachineLimits MeasureMachine(const Backend& backend) {
  return {Flops(backend, DType::kF32), Flops(backend, DType::kBF16), BytesPerSecond(backend)};
}

}  // namespace alignlab
