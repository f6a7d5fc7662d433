// The control operations against native/reference/control.h, on every instruction set.
#include "reference/control.h"
#include "test/harness.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Subject {
  CpuBackend backend;
  const ControlOperations& ops;
  void* device;
  explicit Subject(const char* isa)
      : backend(2, isa), ops(backend.control()), device(backend.table().device) {}
};

void TestRandom(const Subject& s) {
  for (int64_t n : {1, 15, 64, 65, 200, 5000}) {
    std::vector<float> normal(size_t(n) + 1, 7), uniform(size_t(n) + 1, 7);
    const RandomArgs a{0x123456789abcdef0u, (uint64_t(3) << 32) + 5, 0x101, normal.data(), n};
    RandomArgs b = a;
    b.out = uniform.data();
    s.ops.normals(s.device, a);
    s.ops.uniforms(s.device, b);
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

// Mean, variance and fourth moment of two million normals: a wrong table of quadrants or a stream
// that repeats would show.
void TestMoments(const Subject& s) {
  constexpr int64_t kCount = 1 << 21;
  std::vector<float> x(kCount);
  s.ops.normals(s.device, {42, 1, 0x100, x.data(), kCount});
  double sum = 0, squares = 0, fourth = 0, neighbours = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    const double v = x[size_t(i)];
    sum += v;
    squares += v * v;
    fourth += v * v * v * v;
    neighbours += i >= 16 ? v * x[size_t(i - 16)] : 0;
  }
  const double n = double(kCount), error = 1 / std::sqrt(n);  // standard errors 1, 1.4, 9.8, 1
  EXPECT(std::abs(sum / n) < 4 * error);
  EXPECT(std::abs(squares / n - 1) < 4 * 1.42 * error);
  EXPECT(std::abs(fourth / n - 3) < 4 * 9.8 * error);
  EXPECT(std::abs(neighbours / n) < 4 * error);
}

void TestSquash(const Subject& s) {
  for (int64_t actions : {1, 6, 16, 19})
    for (int64_t fan : {1, 3}) {
      Random random(5);
      const int64_t rows = 23, drawn = rows * fan;
      Matrix outputs(DType::kF32, rows, 2 * actions, 3, random, 2);
      Matrix action(DType::kF32, drawn, actions, 2), mean(DType::kF32, drawn, actions);
      std::vector<float> noise = random.Normals(drawn * actions), log_prob(size_t(drawn), 9),
                         std_dev(noise.size());
      outputs.Set(0, actions, -60);  // both ends of the clamp
      outputs.Set(1, actions, 60);
      outputs.Set(2, 0, 30);  // far into saturation
      const SquashArgs a{outputs.tensor(), noise.data(),    1.1f,          -0.7f, fan,
                         action.tensor(),  log_prob.data(), std_dev.data()};
      s.ops.squash(s.device, a);
      s.ops.squash(s.device, {a.outputs, nullptr, 1, 0, fan, mean.tensor(), nullptr, nullptr});
      for (int64_t r = 0; r < drawn; ++r) {
        reference::Numbers out, xi;
        for (int64_t c = 0; c < 2 * actions; ++c)
          out.push_back(reference::Value(a.outputs, r / fan, c));
        for (int64_t c = 0; c < actions; ++c) xi.push_back(noise[size_t(r * actions + c)]);
        const auto expected = reference::Squash(out.data(), xi.data(), actions, 1.1f, -0.7f);
        for (int64_t c = 0; c < actions; ++c) {
          const double sigma = expected.std_dev[size_t(c)];
          // e^x of up to 2 ulp; tanh bends a rounding of u = mean + sigma noise down.
          EXPECT(std::abs(reference::Value(a.action, r, c) - expected.values[size_t(c)]) < 2e-6);
          EXPECT(std::abs(std_dev[size_t(r * actions + c)] - sigma) <= 1e-6 * sigma);
          const double still = std::tanh(out[size_t(c)]);
          EXPECT(std::abs(reference::Value(mean.tensor(), r, c) - still) < 2e-7);
        }
        // Terms of size |u| up to 60 a column, each rounded once or twice.
        EXPECT(std::abs(log_prob[size_t(r)] - expected.log_prob) < 5e-6 * double(actions) * 10);
      }
      EXPECT(action.PaddingIntact());
    }
}

void TestAdam(const Subject& s) {
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
               kCount,   1e-3f,    0.9f,     0.999f,   1e-8f,
               0.2f,     0.1f,     0.005f};
    AdamArgs b = a;
    b.w = w2.data(), b.g = g2.data(), b.m = m2.data(), b.v = v2.data();
    if (follows) b.target = t2.data();
    s.ops.adam(s.device, a);
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
  }
}

void TestRelu(const Subject& s) {
  Random random(3);
  for (int64_t cols : {1, 16, 50}) {
    Matrix y(DType::kF32, 7, cols, 2, random), d(DType::kF32, 7, cols, 1, random);
    const Matrix before = y, d_before = d;
    s.ops.relu(s.device, y.tensor());
    s.ops.relu_backward(s.device, y.tensor(), d.tensor());
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
  s.ops.relu(s.device, {nan.data(), DType::kF32, 1, 3, 3});
  EXPECT(std::isnan(nan[0]) && nan[1] == 0 && nan[2] == 2);
}

void TestTanh(const Subject& s) {
  std::vector<float> x;
  for (double v = -20; v <= 20; v += 1.0 / 64) x.push_back(float(v));
  for (float v : {1e-20f, -1e-8f, 100.0f, -1e4f}) x.push_back(v);
  auto y = x;
  s.ops.scaled_tanh(s.device, 2, y.data(), int64_t(y.size()));
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = 2 * std::tanh(double(x[i]));
    EXPECT(std::abs(y[i] - expected) <= 4e-7 * std::abs(expected));
  }
}

}  // namespace

int main() {
  for (const InstructionSet& set : InstructionSets()) {
    if (!set.supported) continue;
    const Context context(set.name);
    const Subject subject(set.name);
    TestRandom(subject);
    TestMoments(subject);
    TestSquash(subject);
    TestAdam(subject);
    TestRelu(subject);
    TestTanh(subject);
  }
  return Report();
}
