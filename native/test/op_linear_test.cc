// Linear and its two gradients against native/reference.
#include "reference/linear.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Shape {
  int64_t tokens, in, out;
};
// One of everything, tails of rows, depth and panels, more than one block in each direction.
constexpr Shape kShapes[] = {{0, 16, 16}, {1, 1, 1},     {1, 64, 48},   {2, 7, 17},
                             {5, 33, 15}, {17, 16, 100}, {70, 576, 33}, {130, 100, 300}};

std::string Label(DType dtype, const Shape& s) {
  return std::string(Name(dtype)) + " " + std::to_string(s.tokens) + "x" + std::to_string(s.in) +
         "->" + std::to_string(s.out);
}

struct LinearCase {
  Matrix x, y, d_y, d_x;
  OwnedWeight weight, d_weight;
  std::vector<float> bias, d_bias;

  LinearCase(DType dtype, DType y_type, const Shape& s, int64_t gap, uint64_t seed)
      : LinearCase(dtype, y_type, s, gap, Random(seed)) {}
  LinearArgs Forward(bool with_bias, bool accumulate) {
    return {x.tensor(), weight.weight(), with_bias ? bias.data() : nullptr, y.tensor(), accumulate};
  }
  LinearInputGradArgs InputGrad(bool accumulate) {
    return {d_y.tensor(), weight.weight(), d_x.tensor(), accumulate};
  }
  LinearWeightGradArgs WeightGrad(bool with_bias) {
    return {d_y.tensor(), x.tensor(), d_weight.weight(), with_bias ? d_bias.data() : nullptr};
  }

 private:
  // Weights of size 1 / sqrt(in), so that sums are of size 1 whatever their length.
  LinearCase(DType dtype, DType y_type, const Shape& s, int64_t gap, Random random)
      : x(dtype, s.tokens, s.in, gap, random),
        y(y_type, s.tokens, s.out, gap, random),
        d_y(dtype, s.tokens, s.out, gap, random),
        d_x(DType::kF32, s.tokens, s.in, gap, random),
        weight(dtype, s.out, s.in, random, 1 / std::sqrt(double(s.in))),
        d_weight(DType::kF32, s.out, s.in, random),
        bias(random.Normals(s.out)),
        d_bias(random.Normals(s.out)) {}
};

// Products of bf16 values are exact in f32; what is left is the rounding of up to 576 f32
// additions of size 1: about sqrt(576) * 2^-24, with room for unlucky sums.
constexpr Tolerance kSumOfDepth = {1e-5, 1e-6};

void TestLinear(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (int64_t gap : {0, 3, 6})
        for (int variant = 0; variant < 5; ++variant) {
          const bool with_bias = variant & 1, accumulate = variant & 2;
          const DType y_type = variant == 4 ? DType::kBF16 : DType::kF32;
          const Context context("linear " + Label(dtype, shape) + " variant " +
                                std::to_string(variant));
          LinearCase actual(dtype, y_type, shape, gap, 21), expected = actual;
          backend.ops.linear(backend.device, actual.Forward(with_bias, accumulate));
          reference::Linear(expected.Forward(with_bias, accumulate));
          ExpectClose("y", actual.y, expected.y, For(y_type, kSumOfDepth));
        }
}

void TestGradients(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (int64_t gap : {0, 3, 6})
        for (bool flag : {false, true}) {
          const Context context("gradients " + Label(dtype, shape));
          LinearCase actual(dtype, dtype, shape, gap, 22), expected = actual;
          backend.ops.linear_input_grad(backend.device, actual.InputGrad(flag));
          reference::LinearInputGrad(expected.InputGrad(flag));
          // 300 terms of size 1 / sqrt(in) where in is 100; of size 1 where in is 1.
          ExpectClose("d_x", actual.d_x, expected.d_x, {1e-5, 1e-6});
          backend.ops.linear_weight_grad(backend.device, actual.WeightGrad(flag));
          reference::LinearWeightGrad(expected.WeightGrad(flag));
          // Up to 130 products of size 1: partial sums near 11, each rounded at 2^-24.
          ExpectClose("d_weight", actual.d_weight, expected.d_weight, {3e-5, 1e-6});
          ExpectClose("d_bias", actual.d_bias, expected.d_bias, {3e-5, 1e-6});
          EXPECT(actual.d_weight.PaddingZero());
        }
}

// A token's y and d_x are the same alone, in pairs and in the whole batch.
void TestRowsAlone(const Backend& backend) {
  for (const Shape& shape : {Shape{75, 576, 100}, Shape{75, 100, 576}})
    for (DType dtype : kComputeTypes)
      for (int64_t group : {1, 2, 7, 33}) {
        const Context context("alone " + Label(dtype, shape) + " by " + std::to_string(group));
        LinearCase batch(dtype, DType::kF32, shape, 0, 23), alone = batch;
        backend.ops.linear(backend.device, batch.Forward(true, false));
        backend.ops.linear_input_grad(backend.device, batch.InputGrad(false));
        for (int64_t begin = 0; begin < shape.tokens; begin += group) {
          const int64_t count = std::min(group, shape.tokens - begin);
          LinearArgs forward = alone.Forward(true, false);
          forward.x = alone.x.Slice(begin, count);
          forward.y = alone.y.Slice(begin, count);
          backend.ops.linear(backend.device, forward);
          LinearInputGradArgs backward = alone.InputGrad(false);
          backward.d_y = alone.d_y.Slice(begin, count);
          backward.d_x = alone.d_x.Slice(begin, count);
          backend.ops.linear_input_grad(backend.device, backward);
        }
        EXPECT(alone.y == batch.y);
        EXPECT(alone.d_x == batch.d_x);
      }
}

Tensor Columns(Tensor t, int64_t begin, int64_t count) {
  t.data = static_cast<char*>(t.data) + size_t(begin) * SizeOf(t.dtype);
  t.cols = count;
  return t;
}

// The same numbers from a large batch and from a small one, from rows that are aligned and from
// rows that are not, from all outputs and from a few: whichever tiles a backend takes for them.
void TestTiles(const Backend& backend) {
  const Shape shape{300, 40, 72};
  for (DType dtype : kComputeTypes) {
    const Context context("tiles " + Label(dtype, shape));
    LinearCase dense(dtype, DType::kF32, shape, 0, 24);
    LinearCase apart(dtype, DType::kF32, shape, 3, 24);  // an odd stride: nothing is aligned
    for (LinearCase* c : {&dense, &apart}) {
      backend.ops.linear(backend.device, c->Forward(true, true));
      backend.ops.linear_input_grad(backend.device, c->InputGrad(true));
      backend.ops.linear_weight_grad(backend.device, c->WeightGrad(true));
    }
    int different = 0;
    for (int64_t t = 0; t < shape.tokens; ++t) {
      for (int64_t o = 0; o < shape.out; ++o) different += dense.y.Get(t, o) != apart.y.Get(t, o);
      for (int64_t i = 0; i < shape.in; ++i)
        different += dense.d_x.Get(t, i) != apart.d_x.Get(t, i);
    }
    EXPECT(different == 0);
    EXPECT(dense.d_weight == apart.d_weight);
    EXPECT(dense.d_bias == apart.d_bias);

    LinearCase alone(dtype, DType::kF32, shape, 0, 24);
    for (int64_t t : {0, 1, 127, 128, 299}) {
      LinearArgs forward = alone.Forward(true, true);
      forward.x = alone.x.Slice(t, 1);
      forward.y = alone.y.Slice(t, 1);
      backend.ops.linear(backend.device, forward);
      for (int64_t o = 0; o < shape.out; ++o) EXPECT(alone.y.Get(t, o) == dense.y.Get(t, o));
    }
    const int64_t first = 16, count = 9;
    Random unused(1);
    OwnedWeight before(DType::kF32, count, shape.in, unused);
    std::vector<float> d_bias(alone.d_bias.begin() + first, alone.d_bias.begin() + first + count);
    for (int64_t o = 0; o < count; ++o)
      for (int64_t i = 0; i < shape.in; ++i) before.Set(o, i, alone.d_weight.Get(first + o, i));
    backend.ops.linear_weight_grad(backend.device,
                                   {Columns(alone.d_y.tensor(), first, count), alone.x.tensor(),
                                    before.weight(), d_bias.data()});
    for (int64_t o = 0; o < count; ++o) {
      EXPECT(d_bias[size_t(o)] == dense.d_bias[size_t(first + o)]);
      for (int64_t i = 0; i < shape.in; ++i)
        EXPECT(before.Get(o, i) == dense.d_weight.Get(first + o, i));
    }
  }
}

auto All(const Backend& backend, DType dtype, const Shape& shape) {
  LinearCase c(dtype, DType::kF32, shape, 0, 25);
  backend.ops.linear(backend.device, c.Forward(true, true));
  backend.ops.linear_input_grad(backend.device, c.InputGrad(true));
  backend.ops.linear_weight_grad(backend.device, c.WeightGrad(true));
  return std::tuple(c.y.bytes(), c.d_x.bytes(), c.d_weight.bytes(), c.d_bias);
}

void TestThreads() {
  for (DType dtype : kComputeTypes) {
    for (const Shape& shape : {Shape{150, 200, 340}, Shape{1, 300, 700}})
      ExpectSameOnThreads("linear " + Label(dtype, shape),
                          [&](const Backend& backend) { return All(backend, dtype, shape); });
    // Every tile, with and without aligned rows.
    for (const Shape& shape :
         {Shape{70, 136, 72}, Shape{20, 40, 24}, Shape{9, 80, 8}, Shape{70, 70, 70}})
      ExpectSameInAnyOrder("linear " + Label(dtype, shape),
                           [&](const Backend& backend) { return All(backend, dtype, shape); });
  }
}

}  // namespace

int main() {
  const auto all = [](const Backend& backend) {
    TestLinear(backend);
    TestGradients(backend);
    TestRowsAlone(backend);
    TestTiles(backend);
  };
  OnEveryBackend(all);
  // That rows and tiles have equal bits there, too, is what the emulation adds, not what a GPU has
  // shown (cuda/device.h).
  OnEmulatedCuda(cuda::HopperUse::kAlways, all);
  TestThreads();
  return Report();
}
