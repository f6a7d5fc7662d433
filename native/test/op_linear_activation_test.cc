// Products with an activation in their epilogue: the bits of the two operations that each stands
// for, which products and which activations are taken, and that the transformer asks for them.
#include "cuda/device.h"
#include "reference/activation.h"
#include "reference/linear.h"
#include "test/backends.h"

namespace {

using namespace alignlab;
using namespace alignlab::test;
using cuda::HopperUse;

constexpr Activation kKinds[] = {Activation::kSiluGated, Activation::kGeluTanh,
                                 Activation::kGeluErf, Activation::kGeluTanhGated};

struct Shape {
  int64_t tokens, model, width;
};

constexpr Shape kShapes[] = {{300, 104, 280}, {70, 72, 184}};

// An MLP's two layers. Rows are such that the TMA can read them, with something between them.
struct Mlp {
  Activation kind;
  Matrix x, up, out, d_y, d_out, d_up;
  OwnedWeight first, second;
  std::vector<float> bias;

  Mlp(Activation kind, const Shape& s, DType dtype = DType::kBF16)
      : Mlp(kind, s, s.width * (IsGated(kind) ? 2 : 1), dtype, Random(75)) {}

  LinearActivationArgs Forward(bool with_bias, bool keep) {
    return {kind,
            x.tensor(),
            first.weight(),
            with_bias ? bias.data() : nullptr,
            keep ? up.tensor() : Tensor{},
            out.tensor()};
  }
  LinearInputGradActivationArgs Backward() {
    return {kind, d_y.tensor(), second.weight(), up.tensor(), out.tensor(), d_up.tensor()};
  }
  // The same by the operations that each stands for.
  void RunForward(const Backend& backend, bool with_bias) {
    backend.ops.linear(backend.device, {x.tensor(), first.weight(),
                                        with_bias ? bias.data() : nullptr, up.tensor(), false});
    backend.ops.activation(backend.device, {kind, up.tensor(), out.tensor()});
  }
  void RunBackward(const Backend& backend) {
    backend.ops.activation(backend.device, {kind, up.tensor(), out.tensor()});
    backend.ops.linear_input_grad(backend.device,
                                  {d_y.tensor(), second.weight(), d_out.tensor(), false});
    backend.ops.activation_backward(backend.device,
                                    {kind, up.tensor(), d_out.tensor(), d_up.tensor()});
  }

 private:
  // Inputs of the activation of size 3: its tails are in it.
  Mlp(Activation kind, const Shape& s, int64_t up_width, DType dtype, Random random)
      : kind(kind),
        x(dtype, s.tokens, s.model, Gap(s.model), random),
        up(dtype, s.tokens, up_width, 6, random, 3),
        out(dtype, s.tokens, s.width, 2),
        d_y(dtype, s.tokens, s.model, Gap(s.model), random),
        d_out(DType::kF32, s.tokens, s.width),
        d_up(dtype, s.tokens, up_width, 4),
        first(dtype, up_width, s.model, random, 3 / std::sqrt(double(s.model))),
        second(dtype, s.model, s.width, random, 1 / std::sqrt(double(s.model))),
        bias(random.Normals(up_width)) {}
  static int64_t Gap(int64_t cols) { return RoundUp(cols, 8) + 8 - cols; }
};

// Sums of up to 104 terms of size 3 / sqrt(104) in f32, values of up to 100 after the activation:
// 2^-24 of each, ten times over.
constexpr Tolerance kSum = {1e-5, 1e-6};

void ExpectSameBits(const Backend& backend, Activation kind, const Shape& shape) {
  const Context of_kind("activation " + std::to_string(int(kind)));
  for (const bool with_bias : {false, true})
    for (const bool keep : {false, true}) {
      const Context context("forward, bias " + std::to_string(with_bias) + ", kept " +
                            std::to_string(keep));
      Mlp actual(kind, shape), expected = actual;
      const Matrix before = actual.up;
      EXPECT(backend.ops.linear_activation(backend.device, actual.Forward(with_bias, keep)));
      expected.RunForward(backend, with_bias);
      EXPECT(actual.out == expected.out);
      EXPECT(actual.up == (keep ? expected.up : before));
    }
  const Context context("backward");
  Mlp actual(kind, shape), expected = actual;
  EXPECT(backend.ops.linear_input_grad_activation(backend.device, actual.Backward()));
  expected.RunBackward(backend);
  EXPECT(actual.out == expected.out);
  EXPECT(actual.d_up == expected.d_up);
  EXPECT(actual.up == expected.up);
}

// Where the device takes them. What is kept of the forward pass decides what follows from it.
void ExpectNearReference(const Backend& backend, Activation kind, const Shape& shape) {
  Mlp actual(kind, shape), expected = actual;
  const auto forward = actual.Forward(true, true);
  if (!backend.ops.linear_activation(backend.device, forward)) return;
  reference::Linear(
      {forward.x, forward.weight, forward.bias, expected.up.tensor(), /*accumulate=*/false});
  ExpectClose("up", actual.up, expected.up, For(DType::kBF16, kSum));
  const ActivationArgs again{kind, actual.up.tensor(), expected.out.tensor()};
  reference::ActivationForward(again);
  ExpectClose("out", actual.out, expected.out, For(DType::kBF16, kSum));
  actual.out.Fill(0);
  EXPECT(backend.ops.linear_input_grad_activation(backend.device, actual.Backward()));
  reference::LinearInputGrad({expected.d_y.tensor(), expected.second.weight(),
                              expected.d_out.tensor(), /*accumulate=*/false});
  reference::ActivationBackward(
      {kind, actual.up.tensor(), expected.d_out.tensor(), expected.d_up.tensor()});
  ExpectClose("out again", actual.out, expected.out, For(DType::kBF16, kSum));
  ExpectClose("d_up", actual.d_up, expected.d_up, For(DType::kBF16, kSum));
}

// By Hopper's instructions: several tiles in both directions, tails of rows, of columns and of the
// depth; wide tiles where there are two multiprocessors, narrow ones where there are forty. In the
// second shape a tile's half of the gates runs into the rows of the other half.
void TestHopper() {
  for (const int multiprocessors : {2, 40})
    for (const Shape& shape : kShapes)
      for (const Activation kind : kKinds) {
        const Context context("width " + std::to_string(shape.width) + ", multiprocessors " +
                              std::to_string(multiprocessors));
        cuda::emulation::SetGpu(9, 0, multiprocessors);
        OnEmulatedCuda(HopperUse::kLarge, [&](const Backend& backend) {
          ExpectSameBits(backend, kind, shape);
          ExpectNearReference(backend, kind, shape);
        });
      }
}

// By the tiles of every device: large, middle and small ones.
void TestTiles() {
  for (const int multiprocessors : {2, 40, 1000})
    for (const Shape& shape : kShapes)
      for (const Activation kind : kKinds) {
        const Context context("width " + std::to_string(shape.width) + ", multiprocessors " +
                              std::to_string(multiprocessors));
        cuda::emulation::SetGpu(8, 0, multiprocessors);
        OnEmulatedCuda(HopperUse::kNever,
                       [&](const Backend& backend) { ExpectSameBits(backend, kind, shape); });
      }
}

void TestOrders() {
  const auto run = [](const Backend& backend) {
    Mlp mlp(Activation::kSiluGated, {200, 136, 168});
    EXPECT(backend.ops.linear_activation(backend.device, mlp.Forward(true, true)));
    const Matrix out = mlp.out;
    EXPECT(backend.ops.linear_input_grad_activation(backend.device, mlp.Backward()));
    return std::tuple(out.bytes(), mlp.up.bytes(), mlp.d_up.bytes());
  };
  cuda::emulation::SetGpu(9, 0, 2);
  for (const HopperUse use : {HopperUse::kNever, HopperUse::kLarge})
    ExpectSameInAnyOrder("product with activation", run, use);
  cuda::emulation::SetSeed(1);
}

// What is not taken is not touched.
template <class Change>
std::pair<bool, bool> Takes(const Backend& backend, const Shape& shape, const Change& change,
                            DType dtype = DType::kBF16) {
  Mlp mlp(Activation::kSiluGated, shape, dtype);
  const Mlp before = mlp;
  auto forward = mlp.Forward(false, true);
  auto backward = mlp.Backward();
  change(forward, backward);
  const bool there = backend.ops.linear_activation(backend.device, forward);
  EXPECT(there || (mlp.out == before.out && mlp.up == before.up));
  mlp.up = before.up;
  mlp.out = before.out;
  const bool back = backend.ops.linear_input_grad_activation(backend.device, backward);
  EXPECT(back || (mlp.out == before.out && mlp.d_up == before.d_up));
  return {there, back};
}

void TestTaken() {
  constexpr std::pair both(true, true), none(false, false), forward(true, false);
  const auto as_it_is = [](auto&, auto&) {};
  const auto odd = [](Tensor& t) { t.stride += 1; };
  cuda::emulation::SetGpu(9, 0, 1);
  for (const HopperUse use : {HopperUse::kNever, HopperUse::kLarge, HopperUse::kAlways})
    OnEmulatedCuda(use, [&](const Backend& backend) {
      const auto takes = [&](const Shape& shape, const auto& change, DType dtype = DType::kBF16) {
        return Takes(backend, shape, change, dtype);
      };
      const Shape small{1, 64, 8}, large{65, 64, 72};
      EXPECT(takes(large, as_it_is) == both && takes(small, as_it_is) == both);
      EXPECT(takes(large, as_it_is, DType::kF32) == none);
      EXPECT(takes({65, 64, 73}, as_it_is) == none);
      // Rows of `second` are not whole pieces of 16 bytes, those of `first` are.
      EXPECT(takes({65, 64, 74}, as_it_is) == forward);
      EXPECT(takes(large, [&](auto& f, auto& b) { odd(f.out), odd(b.out); }) == none);
      EXPECT(takes(large, [&](auto& f, auto& b) { odd(f.up), odd(b.up); }) == none);
      EXPECT(takes(large, [&](auto&, auto& b) { odd(b.d_up); }) == forward);
      EXPECT(takes(large, [&](auto& f, auto& b) { odd(f.x), odd(b.d_y); }) == none);
    });
}

// Where cuBLASLt multiplies faster than the tiles of every device, these leave it the product.
void TestBesideCublas() {
  for (const bool exact : {true, false})
    for (const HopperUse use : {HopperUse::kNever, HopperUse::kLarge}) {
      cuda::CudaBackend gpu(0, exact);  // not exact: the stand-in for cuBLASLt is there
      gpu.device().UseHopper(use);
      const PanelsOf panels(gpu.table());
      const bool taken = exact || use == HopperUse::kLarge;
      EXPECT(Takes(gpu.table(), {65, 64, 72}, [](auto&, auto&) {}) == std::pair(taken, taken));
    }
}

}  // namespace

int main() {
  if (!kEmulateCuda) return 0;
  TestHopper();
  TestTiles();
  OnDevice([](const Backend& backend) {
    for (const Shape& shape : kShapes)
      for (const Activation kind : kKinds) ExpectSameBits(backend, kind, shape);
  });
  OnFastDevice([](const Backend& backend) {
    for (const Shape& shape : kShapes)
      for (const Activation kind : kKinds) ExpectNearReference(backend, kind, shape);
  });
  TestOrders();
  TestTaken();
  TestBesideCublas();
  return Report();
}
