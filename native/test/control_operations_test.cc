// The control operations on numbers and rows against native/reference/, on every backend.
#include "reference/control_losses.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

const ControlOperations& Ops(const Backend& backend) { return *backend.control; }

void TestRandom(const Backend& backend) {
  for (int64_t n : {1, 15, 64, 65, 200, 5000}) {
    std::vector<float> normal(size_t(n) + 1, 7), uniform(size_t(n) + 1, 7);
    const RandomArgs a{0x123456789abcdef0u, (uint64_t(3) << 32) + 5, 0x101, normal.data(), n};
    RandomArgs b = a;
    b.out = uniform.data();
    Ops(backend).normals(backend.device, a);
    Ops(backend).uniforms(backend.device, b);
    EXPECT(normal.back() == 7 && uniform.back() == 7);
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      EXPECT(uniform[size_t(i)] == float(reference::Uniform(a, i)));
      worst = std::max(worst, std::abs(normal[size_t(i)] - reference::Normal(a, i)));
    }
    // Up to 6 from a logarithm, a root and a sine of a few ulp each; near u = 1, where the radius
    // is about 1e-3, the logarithm's absolute error of 1e-8 shows as 1e-5.
    EXPECT(worst < 2e-5);
  }
}

// Mean, variance and fourth moment of many normals: a wrong table of quadrants or a stream
// that repeats would show.
void TestMoments(const Backend& backend) {
  const int64_t count = backend.memory.host ? 1 << 21 : 1 << 18;  // emulated, this takes long
  std::vector<float> x(static_cast<size_t>(count));
  Ops(backend).normals(backend.device, {42, 1, 0x100, x.data(), count});
  double sum = 0, squares = 0, fourth = 0, neighbours = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double v = x[size_t(i)];
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
    neighbours += i >= 16 ? v * x[size_t(i - 16)] : 0;
  }
  const double n = double(count), error = 1 / std::sqrt(n);  // standard errors 1, 1.4, 9.8, 1
  EXPECT(std::abs(sum / n) < 4 * error);
  EXPECT(std::abs(squares / n - 1) < 4 * 1.42 * error);
  EXPECT(std::abs(fourth / n - 3) < 4 * 9.8 * error);
  EXPECT(std::abs(neighbours / n) < 4 * error);
}

void TestSquash(const Backend& backend) {
  const std::vector<float> scalars{1.1f, -0.7f};
  constexpr int64_t kStates = 5;
  for (int64_t actions : {1, 6, 16, 19, 40})
    for (int64_t fan : {1, 3}) {
      const Context context("squash " + std::to_string(actions) + " x " + std::to_string(fan));
      Random random(5);
      const int64_t rows = 23, drawn = rows * fan;
      Matrix outputs(DType::kF32, rows, 2 * actions, 3, random, 2);
      const Matrix states(DType::kF32, rows, kStates, 1, random);
      Matrix joined(DType::kF32, drawn, kStates + actions, 2), mean(DType::kF32, drawn, actions);
      Tensor action = joined.tensor();
      action.data = action.f32() + kStates;
      action.cols = actions;
      const std::vector<float> noise = random.Normals(drawn * actions);
      std::vector<float> log_prob(size_t(drawn), 9), std_dev(noise.size()), in_place = noise;
      outputs.Set(0, actions, -60);  // both ends of the clamp
      outputs.Set(1, actions, 60);
      outputs.Set(2, 0, 30);  // far into saturation
      const SquashArgs a{outputs.tensor(), noise.data(),    scalars.data(), fan,
                         action,           log_prob.data(), std_dev.data(), states.tensor()};
      Ops(backend).squash(backend.device, a);
      Ops(backend).squash(
          backend.device,
          {a.outputs, nullptr, scalars.data(), fan, mean.tensor(), nullptr, nullptr, {}});
      const Tensor itself{in_place.data(), DType::kF32, drawn, actions, actions};
      Ops(backend).squash(
          backend.device,
          {a.outputs, in_place.data(), scalars.data(), fan, itself, nullptr, nullptr, {}});
      for (int64_t r = 0; r < drawn; ++r) {
        reference::Numbers out, xi;
        for (int64_t c = 0; c < 2 * actions; ++c)
          out.push_back(reference::Value(a.outputs, r / fan, c));
        for (int64_t c = 0; c < actions; ++c) xi.push_back(noise[size_t(r * actions + c)]);
        const auto expected =
            reference::Squash(out.data(), xi.data(), actions, scalars[0], scalars[1]);
        for (int64_t c = 0; c < actions; ++c) {
          const double sigma = expected.std_dev[size_t(c)], actual = reference::Value(action, r, c);
          // e^x of up to 2 ulp; tanh bends a rounding of u = mean + sigma noise down.
          EXPECT(std::abs(actual - expected.values[size_t(c)]) < 2e-6);
          EXPECT(actual == reference::Value(itself, r, c));
          EXPECT(std::abs(std_dev[size_t(r * actions + c)] - sigma) <= 1e-6 * sigma);
          const double still = std::tanh(out[size_t(c)]);
          EXPECT(std::abs(reference::Value(mean.tensor(), r, c) - still) < 2e-7);
        }
        for (int64_t c = 0; c < kStates; ++c) EXPECT(joined.Get(r, c) == states.Get(r / fan, c));
        // Terms of size |u| up to 60 a column, each rounded once or twice.
        EXPECT(std::abs(log_prob[size_t(r)] - expected.log_prob) < 5e-6 * double(actions) * 10);
      }
      EXPECT(joined.PaddingIntact());
    }
}

void TestAdam(const Backend& backend) {
  Random random(9);
  constexpr int64_t kCount = 1003;
  for (bool follows : {false, true}) {
    auto w = random.Normals(kCount), g = random.Normals(kCount, 1e-2), m = random.Normals(kCount),
         v = random.Normals(kCount), t = random.Normals(kCount);
    for (float& x : v) x *= x;
    g[0] = m[0] = v[0] = 0;
    g[1] = 0, m[1] = 1.05e-30f, v[1] = 1e-35f;  // about to be flushed
    auto w2 = w, g2 = g, m2 = m, v2 = v, t2 = t;
    AdamArgs a{w.data(), g.data(), m.data(), v.data(), follows ? t.data() : nullptr,
               nullptr,  kCount,   1e-3f,    0.9f,     0.999f,
               1e-8f,    0.2f,     0.1f,     0.005f};
    AdamArgs b = a;
    b.w = w2.data(), b.g = g2.data(), b.m = m2.data(), b.v = v2.data();
    if (follows) b.target = t2.data();
    Ops(backend).adam(backend.device, a);
    reference::Adam(b);
    EXPECT(m[1] == 0 && v[1] == 0 && w[0] == w2[0]);
    double worst = 0;
    for (size_t i = 0; i < size_t(kCount); ++i) {
      EXPECT(g[i] == 0);
      // One step of up to 1e-3 * 100 at a relative error of a few 1e-7, on values near 1.
      worst = std::max({worst, std::abs(double(w[i]) - w2[i]), std::abs(double(m[i]) - m2[i]),
                        std::abs(double(v[i]) - v2[i]), std::abs(double(t[i]) - t2[i])});
    }
    EXPECT(worst < 2e-6);
    // After a failure the gradient goes and everything else stays.
    const std::vector<ControlTally> tally(
        2, ControlTally{.sums = {}, .critic_loss = 0, .conservative = 0, .failed = 3});
    const auto w3 = w, m3 = m, v3 = v, t3 = t;
    a.tally = tally.data();
    for (float& x : g) x = float(random.Normal());
    Ops(backend).adam(backend.device, a);
    EXPECT(SameBits(w, w3) && SameBits(m, m3) && SameBits(v, v3) && SameBits(t, t3));
    EXPECT(SameBits(g, std::vector<float>(g.size())));
  }
}

void TestRelu(const Backend& backend) {
  Random random(3);
  for (int64_t cols : {1, 16, 50}) {
    Matrix y(DType::kF32, 7, cols, 2, random), d(DType::kF32, 7, cols, 1, random);
    const Matrix before = y, d_before = d;
    Ops(backend).relu(backend.device, y.tensor());
    Ops(backend).relu_backward(backend.device, y.tensor(), d.tensor());
    for (int64_t r = 0; r < 7; ++r)
      for (int64_t c = 0; c < cols; ++c) {
        const double x = reference::Value(before.tensor(), r, c);
        EXPECT(reference::Value(y.tensor(), r, c) == std::max(x, 0.0));
        EXPECT(reference::Value(d.tensor(), r, c) ==
               (x > 0 ? reference::Value(d_before.tensor(), r, c) : 0));
      }
    EXPECT(y.PaddingIntact() && d.PaddingIntact());
  }
  std::vector<float> nan{NAN, -1, 2};
  Ops(backend).relu(backend.device, {nan.data(), DType::kF32, 1, 3, 3});
  EXPECT(std::isnan(nan[0]) && nan[1] == 0 && nan[2] == 2);
}

// Row 0 the oldest of a ring of 9 rows whose oldest is row 4.
void TestDrawRows(const Backend& backend) {
  constexpr int64_t kWidth = 7;
  Random random(11);
  const auto real = random.Normals(20 * kWidth), sim = random.Normals(9 * kWidth);
  for (int64_t cols : {int64_t(4), kWidth})
    for (int kind : {0, 1, 2}) {
      const Context context("draw_rows " + std::to_string(cols) + " kind " + std::to_string(kind));
      const auto shift = random.Normals(cols), scale = random.Normals(cols);
      const auto xi = random.Normals(150 * cols);
      Matrix actual(DType::kF32, 150, cols, 1), expected = actual;
      DrawRowsArgs a{99,
                     (uint64_t(1) << 33) + 2,
                     0x105,
                     {real.data(), kWidth, 20, 0, 20},
                     {sim.data(), kWidth, 9, 4, 9},
                     40,
                     actual.tensor(),
                     shift.data(),
                     kind > 0 ? scale.data() : nullptr,
                     kind > 1 ? xi.data() : nullptr,
                     0.3f};
      Ops(backend).draw_rows(backend.device, a);
      a.to = expected.tensor();
      reference::DrawRows(a);
      // Four roundings of numbers up to 10.
      ExpectClose("to", actual, expected, {kind > 0 ? 3e-6 : 0, 0});
    }
}

void TestRatioInputs(const Backend& backend) {
  constexpr int64_t kStates = 4, kCols = 10, kRows = 13;
  Random random(12);
  const Matrix rows(DType::kF32, kRows, kCols + 2, 1, random);
  const auto shift = random.Normals(kCols), scale = random.Normals(kCols);
  const auto spread = random.Normals(kStates);
  for (int64_t samples : {0, 1, 10}) {
    const Context context("ratio_inputs " + std::to_string(samples));
    const auto xi = random.Normals(kRows * samples * kStates);
    Matrix actual(DType::kF32, kRows * (samples + 1), kCols, 2), expected = actual;
    RatioInputsArgs a{rows.tensor(), kStates,      samples,      xi.data(),
                      spread.data(), shift.data(), scale.data(), actual.tensor()};
    Ops(backend).ratio_inputs(backend.device, a);
    a.to = expected.tensor();
    reference::RatioInputs(a);
    ExpectClose("to", actual, expected, {3e-6, 0});  // four roundings of numbers up to 10
  }
}

void TestConservativeInputs(const Backend& backend) {
  Random random(13);
  for (int64_t n : {1, 10}) {
    const Context context("conservative_inputs " + std::to_string(n));
    const Matrix states(DType::kF32, 6, 5, 3, random);
    const Matrix drawn[3] = {{DType::kF32, 6 * n, 3, 0, random},
                             {DType::kF32, 6 * n, 3, 0, random},
                             {DType::kF32, 6 * n, 3, 0, random}};
    Matrix actual(DType::kF32, 18 * n, 8, 1), expected = actual;
    ConservativeInputsArgs a{states.tensor(),
                             n,
                             {drawn[0].tensor(), drawn[1].tensor(), drawn[2].tensor()},
                             actual.tensor()};
    Ops(backend).conservative_inputs(backend.device, a);
    a.to = expected.tensor();
    reference::ConservativeInputs(a);
    EXPECT(actual == expected);  // 2x is exact, so both round once
  }
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestRandom(backend);
    TestMoments(backend);
    TestDrawRows(backend);
    TestRatioInputs(backend);
    TestConservativeInputs(backend);
    TestAdam(backend);
    TestRelu(backend);
    TestSquash(backend);
  });
  return Report();
}
