// Activations, AdamW, SumSquares and Axpby against native/reference; Burn.
#include "reference/activation.h"
#include "reference/optimizer.h"
#include "reference/rows.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

constexpr Activation kKinds[] = {Activation::kSiluGated, Activation::kGeluTanh,
                                 Activation::kGeluErf, Activation::kGeluTanhGated};

struct ActivationCase {
  Activation kind;
  Matrix x, out, d_out, d_x;

  ActivationCase(Activation kind, DType dtype, int64_t rows, int64_t width, int64_t gap)
      : kind(kind),
        x(dtype, rows, width * (IsGated(kind) ? 2 : 1), gap),
        out(dtype, rows, width, gap),
        d_out(DType::kF32, rows, width, gap),
        d_x(dtype, rows, x.cols(), gap) {
    Random random(11);
    x = Matrix(dtype, rows, x.cols(), gap, random, 3);
    d_out = Matrix(DType::kF32, rows, width, gap, random);
  }
  ActivationArgs Forward() const { return {kind, x.tensor(), out.tensor()}; }
  ActivationBackwardArgs Backward() const {
    return {kind, x.tensor(), d_out.tensor(), d_x.tensor()};
  }
};

void TestActivation(const Backend& backend) {
  constexpr int64_t kShapes[][3] = {{0, 16, 0}, {1, 1, 0},    {1, 64, 1},  {3, 5, 2},
                                    {5, 33, 0}, {2, 1100, 4}, {40, 500, 3}};
  for (const auto& [rows, width, gap] : kShapes)
    for (DType dtype : kComputeTypes)
      for (Activation kind : kKinds) {
        const Context context("activation " + std::to_string(int(kind)) + " " + Name(dtype) + " " +
                              std::to_string(rows) + "x" + std::to_string(width));
        ActivationCase actual(kind, dtype, rows, width, gap), expected = actual;
        backend.ops.activation(backend.device, actual.Forward());
        reference::ActivationForward(expected.Forward());
        // Values up to 100 from about ten roundings; the tail's exponent is rounded at 1e-7 |u|.
        ExpectClose("out", actual.out, expected.out, For(dtype, {1e-6, 5e-6}));
        backend.ops.activation_backward(backend.device, actual.Backward());
        reference::ActivationBackward(expected.Backward());
        ExpectClose("d_x", actual.d_x, expected.d_x, For(dtype, {4e-6, 5e-6}));
      }
}

// x and its gradient may share memory, and a row does not know its batch.
void TestActivationAlone(const Backend& backend) {
  for (DType dtype : kComputeTypes)
    for (Activation kind : kKinds) {
      ActivationCase batch(kind, dtype, 40, 500, 3), alone = batch, in_place = batch;
      backend.ops.activation(backend.device, batch.Forward());
      backend.ops.activation_backward(backend.device, batch.Backward());
      for (int64_t r = 39; r >= 0; --r) {
        backend.ops.activation(backend.device, {kind, alone.x.Slice(r, 1), alone.out.Slice(r, 1)});
        backend.ops.activation_backward(
            backend.device,
            {kind, alone.x.Slice(r, 1), alone.d_out.Slice(r, 1), alone.d_x.Slice(r, 1)});
      }
      EXPECT(alone.out == batch.out);
      EXPECT(alone.d_x == batch.d_x);
      ActivationBackwardArgs args = in_place.Backward();
      args.d_x = args.x;
      backend.ops.activation_backward(backend.device, args);
      EXPECT(in_place.x == batch.d_x);
    }
}

// The whole line: near zero, in the far tails, at infinity's doorstep.
void TestActivationRange(const Backend& backend) {
  std::vector<double> points = {0, -0.0, 1e-30, -1e-30, 30, -30, 88, -88, 200, -200, 1e4, -1e4};
  for (double x = -14 + 1.0 / 256; x <= 14; x += 1.0 / 128) points.push_back(x);
  const int64_t n = int64_t(points.size());
  for (Activation kind : kKinds) {
    const Context context("range " + std::to_string(int(kind)));
    ActivationCase actual(kind, DType::kF32, 1, n, 0);
    for (int64_t i = 0; i < n; ++i) {
      actual.x.Set(0, i, points[size_t(i)]);
      if (IsGated(kind)) actual.x.Set(0, n + i, 1);
      actual.d_out.Set(0, i, 1);
    }
    ActivationCase expected = actual;
    backend.ops.activation(backend.device, actual.Forward());
    reference::ActivationForward(expected.Forward());
    backend.ops.activation_backward(backend.device, actual.Backward());
    reference::ActivationBackward(expected.Backward());
    // A gate is right to 3e-7 absolute; below zero it is right relative to its own size, up to
    // the rounding of an exponent of at most 87 (87 * 2^-23).
    ExpectClose("value", actual.out, expected.out, {1e-9, 1.1e-5});
    ExpectClose("slope", actual.d_x, expected.d_x, {1e-6, 1.1e-5});
    // The gate itself, out / x = (1 + erf(x / sqrt 2)) / 2, against the standard library: 1.5e-7 of
    // the fitted polynomial and two roundings.
    if (kind == Activation::kGeluErf)
      ExpectClose(
          "erf", n - 2, [&](int64_t i) { return actual.out.Get(0, i + 2) / points[size_t(i + 2)]; },
          [&](int64_t i) { return 0.5 * (1 + std::erf(points[size_t(i + 2)] / std::sqrt(2.0))); },
          {3e-7, 0});
  }
}

void TestAdamW(const Backend& backend) {
  for (int64_t n : {0, 1, 15, 16, 100, 40000}) {
    const Context context("adamw " + std::to_string(n));
    Random random(12);
    auto w = random.Normals(n), g = random.Normals(n, 0.01), m = random.Normals(n, 0.01);
    auto v = random.Normals(n, 0.01);
    for (float& x : v) x *= x;
    if (n > 3) v[3] = m[3] = g[3] = 0;  // a parameter without gradient only decays
    auto w2 = w, g2 = g, m2 = m, v2 = v;
    AdamWArgs args{w.data(), g.data(), m.data(), v.data(), n,      1e-2f,  0.9f,
                   0.95f,    1e-8f,    0.1f,     0.5f,     0.271f, 0.1426f};
    backend.ops.adamw(backend.device, args);
    args.w = w2.data();
    args.g = g2.data();
    args.m = m2.data();
    args.v = v2.data();
    reference::AdamW(args);
    // A few f32 roundings each; a step is lr times something of size up to 10.
    ExpectClose("w", w, w2, {2e-7, 2e-7});
    ExpectClose("m", m, m2, {1e-9, 3e-7});
    ExpectClose("v", v, v2, {1e-12, 3e-7});
    EXPECT(g == std::vector<float>(g.size()) && g2 == g);
  }
}

void TestSums(const Backend& backend) {
  for (int64_t n : {0, 1, 31, 32, 1000, 16384, 16385, 6000000}) {
    const Context context("sums " + std::to_string(n));
    Random random(13);
    const auto x = random.Normals(n);
    const double expected = reference::SumSquares(x.data(), n);
    const double actual = backend.ops.sum_squares(backend.device, x.data(), n);
    // Both in double; only the order differs.
    EXPECT(std::abs(actual - expected) <= 1e-12 * expected);
    if (n > 100000) continue;
    auto y = random.Normals(n), y2 = y;
    backend.ops.axpby(backend.device, 0.3f, x.data(), -2.0f, y.data(), n);
    reference::Axpby(0.3f, x.data(), -2.0f, y2.data(), n);
    // Two roundings of terms below 10, which may cancel.
    ExpectClose("axpby", y, y2, {1e-6, 2e-7});
    std::fill(y.begin(), y.end(), NAN);
    backend.ops.axpby(backend.device, 0.3f, x.data(), 0, y.data(), n);
    reference::Axpby(0.3f, x.data(), 0, y2.data(), n);
    EXPECT(SameBits(y, y2));
  }
}

void TestBurn(const Backend& backend) {
  for (DType dtype : kComputeTypes) {
    const int64_t done = backend.ops.burn(backend.device, dtype, 2);
    EXPECT(done > 0 && backend.ops.burn(backend.device, dtype, 6) == 3 * done);
  }
}

void TestThreads() {
  Random random(14);
  const auto values = random.Normals(6000001);
  const auto sum = [&](const Backend& backend) {
    return backend.ops.sum_squares(backend.device, values.data(), int64_t(values.size()));
  };
  ExpectSameOnThreads("sum_squares", sum);
  ExpectSameInAnyOrder("sum_squares", sum);
  const auto adamw = [&](const Backend& backend) {
    auto w = values, g = values, m = values, v = values;
    for (float& x : v) x *= x;
    backend.ops.adamw(backend.device, {w.data(), g.data(), m.data(), v.data(), 100003, 1e-3f, 0.9f,
                                       0.999f, 1e-8f, 0.01f, 1, 0.1f, 0.001f});
    return std::tuple(w, m, v);
  };
  ExpectSameOnThreads("adamw", adamw);
  ExpectSameInAnyOrder("adamw", adamw);
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestActivation(backend);
    TestActivationAlone(backend);
    TestActivationRange(backend);
    TestAdamW(backend);
    TestSums(backend);
    TestBurn(backend);
  });
  TestThreads();
  return Report();
}
