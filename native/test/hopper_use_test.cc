// What Hopper's instructions take, and the products that are made of them where tiles, stages and
// blocks are several.
#include "cuda/device.h"
#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/hopper_product.h"
#include "reference/linear.h"
#include "test/attention_case.h"

namespace {

using namespace alignlab;
using namespace alignlab::test;
using namespace alignlab::cuda;

struct Shape {
  int64_t tokens, in, out;
};

struct Products {
  Matrix x, y, d_y, d_x;
  OwnedWeight weight, d_weight;
  std::vector<float> bias;

  Products(DType y_type, const Shape& s) : Products(y_type, s, Random(71)) {}

  void Run(const Backend& backend) {
    backend.ops.linear(backend.device, Forward());
    backend.ops.linear_input_grad(backend.device, InputGrad());
    backend.ops.linear_weight_grad(backend.device, WeightGrad());
  }
  void RunReference() {
    reference::Linear(Forward());
    reference::LinearInputGrad(InputGrad());
    reference::LinearWeightGrad(WeightGrad());
  }
  auto Bits() const { return std::tuple(y.bytes(), d_x.bytes(), d_weight.bytes()); }

 private:
  Products(DType y_type, const Shape& s, Random random)
      : x(DType::kBF16, s.tokens, s.in, Gap(s.in), random),
        y(y_type, s.tokens, s.out, Gap(s.out), random),
        d_y(DType::kBF16, s.tokens, s.out, Gap(s.out), random),
        d_x(DType::kF32, s.tokens, s.in, Gap(s.in), random),
        weight(DType::kBF16, s.out, s.in, random, 1 / std::sqrt(double(s.in))),
        d_weight(DType::kF32, s.out, s.in, random),
        bias(random.Normals(s.out)) {}
  // Rows that the TMA can read, with something between them that it must not.
  static int64_t Gap(int64_t cols) { return RoundUp(cols, 8) + 8 - cols; }
  LinearArgs Forward() {
    return {x.tensor(), weight.weight(), bias.data(), y.tensor(), y.tensor().dtype == DType::kF32};
  }
  LinearInputGradArgs InputGrad() { return {d_y.tensor(), weight.weight(), d_x.tensor(), false}; }
  LinearWeightGradArgs WeightGrad() {
    return {d_y.tensor(), x.tensor(), d_weight.weight(), nullptr};
  }
};

// Sums of up to 600 terms of size 1 / sqrt(in), or of 2,500 of size 1 over tokens: partial sums
// below 250, each rounded at 2^-24.
constexpr Tolerance kSum = {1e-4, 1e-6};

constexpr Shape kShapes[] = {{300, 344, 602}, {260, 600, 135}, {2500, 72, 80}};

void CheckProducts(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType y_type : kComputeTypes) {
      const Context context(std::string(Name(y_type)) + ", tokens " + std::to_string(shape.tokens));
      Products actual(y_type, shape), expected = actual;
      actual.Run(backend);
      expected.RunReference();
      ExpectClose("y", actual.y, expected.y, For(y_type, kSum));
      ExpectClose("d_x", actual.d_x, expected.d_x, kSum);
      ExpectClose("d_weight", actual.d_weight, expected.d_weight, kSum);
    }
}

// More tiles than blocks in both directions, more steps than stages, tails of all three; two blocks
// with wide tiles and ten with narrow ones. Ten add the weight's gradient of the last shape up in
// three parts, the last of which ends before its steps do.
void TestProducts() {
  for (int multiprocessors : {2, 10}) {
    const Context context("multiprocessors " + std::to_string(multiprocessors));
    emulation::SetGpu(9, 0, multiprocessors);
    OnEmulatedCuda(HopperUse::kLarge, CheckProducts);
  }
}

void TestOrders() {
  emulation::SetGpu(9, 0, 2);
  const auto run = [](const Backend& backend) {
    Products products(DType::kF32, {200, 400, 264});
    products.Run(backend);
    return products.Bits();
  };
  ExpectSameInAnyOrder("products", run, HopperUse::kLarge);
  emulation::SetSeed(1);
}

// Which products the instructions take: the tests above would not see that none is.
void TestTaken() {
  emulation::SetGpu(9, 0, 1);
  OnEmulatedCuda(HopperUse::kLarge, [](const Backend& backend) {
    auto& device = *static_cast<Device*>(backend.device);
    const auto takes = [&](int64_t rows, int64_t gap, HopperUse use) {
      Random random(72);
      const Matrix x(DType::kBF16, rows, 64, gap, random), w(DType::kBF16, 72, 64, 0, random);
      const Matrix y(DType::kF32, rows, 72);
      device.UseHopper(use);
      const Operands<uint16_t> of{ViewOf<uint16_t>(x.tensor()), ViewOf<uint16_t>(w.tensor()), rows,
                                  72, 64};
      return MultiplyByHopper<Along::kDepth, Along::kDepth>(device, of,
                                                            {y.tensor(), nullptr, false});
    };
    EXPECT(takes(65, 0, HopperUse::kLarge) && takes(65, 8, HopperUse::kLarge));
    EXPECT(!takes(64, 0, HopperUse::kLarge) && takes(1, 0, HopperUse::kAlways));
    EXPECT(!takes(65, 4, HopperUse::kAlways) && !takes(0, 0, HopperUse::kAlways));
    EXPECT(!takes(65, 0, HopperUse::kNever));
  });
}

// The same of attention.
void TestAttentionTaken() {
  emulation::SetGpu(9, 0, 1);
  OnEmulatedCuda(HopperUse::kLarge, [](const Backend& backend) {
    auto& device = *static_cast<Device*>(backend.device);
    const auto takes = [&](const Heads& heads, const Tree& tree, HopperUse use,
                           const auto& change) {
      const Operation op(&device);
      device.UseHopper(use);
      const Forest forest(tree);
      AttentionCase c(backend, forest, heads, DType::kBF16, 73);
      AttentionArgs args = c.Forward();
      change(args);
      return AttendByHopper(device, args, cuda::ViewOf<uint16_t>(device, args));
    };
    const auto as_it_is = [](AttentionArgs&) {};
    const Heads pair{2, 1, 64};
    const auto large = [&](const Heads& heads, int32_t length) {
      return takes(heads, {{-1}, {length}}, HopperUse::kLarge, as_it_is);
    };
    EXPECT(large(pair, 33) && !large(pair, 32) && large({1, 1, 128}, 65) && !large(pair, 1));
    EXPECT(!large({1, 1, 96}, 65) && !large({1, 1, 256}, 65));
    // As many rows of blocks that are full as of those that are not.
    EXPECT(takes(pair, {{-1, -1}, {64, 1}}, HopperUse::kLarge, as_it_is));
    EXPECT(!takes(pair, {{-1, -1}, {63, 1}}, HopperUse::kLarge, as_it_is));
    const auto any = [&](const auto& change) {
      return takes(pair, {{-1}, {1}}, HopperUse::kAlways, change);
    };
    EXPECT(any(as_it_is) && any([](AttentionArgs& args) { args.run_count = 0; }));
    EXPECT(!any([](AttentionArgs& args) { args.kv.page_stride -= 8; }));
    EXPECT(!any([](AttentionArgs& args) { args.q.stride -= 1; }));
    EXPECT(!any([](AttentionArgs& args) { args.scale = -args.scale; }));
    EXPECT(!takes(pair, {{-1}, {65}}, HopperUse::kNever, as_it_is));
  });
}

// And of its gradients. Those of keys fill blocks by tokens, those of queries by rows.
void TestGradientsTaken() {
  struct Taken {
    bool queries, keys;
    bool operator==(const Taken&) const = default;
  };
  emulation::SetGpu(9, 0, 1);
  OnEmulatedCuda(HopperUse::kLarge, [](const Backend& backend) {
    auto& device = *static_cast<Device*>(backend.device);
    const auto takes = [&](const Heads& heads, int32_t length, HopperUse use, const auto& change) {
      const Operation op(&device);
      device.UseHopper(use);
      const Forest forest(Tree{{-1}, {length}});
      AttentionCase c(backend, forest, heads, DType::kBF16, 73);
      const AttentionArgs args = c.Forward();
      GradientView<uint16_t> view{};
      view.forward = cuda::ViewOf<uint16_t>(device, args);
      view.d_out = view.forward.q;
      view.dots = c.lse.data();
      view.d_q = c.d_q.tensor().f32();
      view.d_k = c.d_k.tensor().f32();
      view.d_v = c.d_v.tensor().f32();
      view.d_q_stride = c.d_q.tensor().stride;
      view.d_k_stride = c.d_k.tensor().stride;
      view.d_v_stride = c.d_v.tensor().stride;
      change(view);
      return Taken{QueryGradientsByHopper(device, args, view),
                   KeyGradientsByHopper(device, args, view)};
    };
    const auto as_it_is = [](GradientView<uint16_t>&) {};
    const Heads pair{2, 1, 64};
    const Taken both{true, true}, none{false, false}, of_queries{true, false};
    const auto large = [&](const Heads& heads, int32_t length) {
      return takes(heads, length, HopperUse::kLarge, as_it_is);
    };
    EXPECT(large(pair, 65) == both && large({1, 1, 128}, 65) == both);
    EXPECT(large(pair, 64) == of_queries && large(pair, 32) == none);
    EXPECT(large({1, 1, 96}, 65) == none && large({1, 1, 256}, 65) == none);
    const auto any = [&](const Heads& heads, const auto& change) {
      return takes(heads, 1, HopperUse::kAlways, change);
    };
    EXPECT(any({64, 1, 64}, as_it_is) == both && any({65, 1, 64}, as_it_is) == of_queries);
    const auto odd = [](auto GradientView<uint16_t>::*stride) {
      return [=](GradientView<uint16_t>& view) { ++(view.*stride); };
    };
    EXPECT(any(pair, odd(&GradientView<uint16_t>::d_q_stride)) == Taken(false, true));
    EXPECT(any(pair, odd(&GradientView<uint16_t>::d_k_stride)) == of_queries);
    EXPECT(any(pair, odd(&GradientView<uint16_t>::d_v_stride)) == of_queries);
    EXPECT(any(pair, [](auto& view) { view.forward.page_stride -= 8; }) == none);
    EXPECT(any(pair, [](auto& view) { view.forward.scale *= -1; }) == both);
    EXPECT(takes(pair, 65, HopperUse::kNever, as_it_is) == none);
  });
}

// The operations ask them: the scale meets scores and maximum, or log-sum-exp, in one rounding
// there, in two in the other kernels. Scores of some hundreds make that so much that what is
// rounded to bf16 differs, too.
void TestAttentionAsked() {
  struct Bits {
    std::vector<float> lse;
    std::vector<uint8_t> d_q, d_k, d_v;
  };
  const auto bits = [](HopperUse forward, HopperUse backward) {
    Bits bits;
    OnEmulatedCuda(forward, [&](const Backend& backend) {
      const Forest forest({{-1}, {100}});
      AttentionCase c(backend, forest, {2, 1, 64}, DType::kBF16, 74);
      AttentionBackwardArgs args = c.Backward();
      args.forward.scale = 8;
      backend.ops.attention(backend.device, args.forward);
      static_cast<Device*>(backend.device)->UseHopper(backward);
      backend.ops.attention_backward(backend.device, args);
      bits = {c.lse, c.d_q.bytes(), c.d_k.bytes(), c.d_v.bytes()};
    });
    return bits;
  };
  const Bits never = bits(HopperUse::kNever, HopperUse::kNever);
  EXPECT(bits(HopperUse::kLarge, HopperUse::kNever).lse != never.lse);
  EXPECT(bits(HopperUse::kAlways, HopperUse::kNever).lse ==
         bits(HopperUse::kLarge, HopperUse::kNever).lse);
  const Bits large = bits(HopperUse::kNever, HopperUse::kLarge);
  const Bits always = bits(HopperUse::kNever, HopperUse::kAlways);
  EXPECT(large.lse == never.lse && large.d_q != never.d_q);
  EXPECT(large.d_k != never.d_k && large.d_v != never.d_v);
  EXPECT(large.d_q == always.d_q && large.d_k == always.d_k && large.d_v == always.d_v);
}

void TestChoice() {
  const auto choice = [](int major, bool exact) {
    emulation::SetGpu(major, 0, 1);
    CudaBackend gpu(0, exact);
    EXPECT(gpu.table().exact == exact);  // the stand-in for cuBLASLt is always there
    return gpu.device().hopper();
  };
  EXPECT(choice(9, false) == HopperUse::kLarge);
  EXPECT(choice(9, true) == HopperUse::kNever);
  EXPECT(choice(8, false) == HopperUse::kNever);
  EXPECT(choice(10, false) == HopperUse::kNever);
  setenv("ALIGNLAB_CUDA_HOPPER", "off", /*overwrite=*/1);
  EXPECT(choice(9, false) == HopperUse::kNever);
  setenv("ALIGNLAB_CUDA_HOPPER", "on", /*overwrite=*/1);
  EXPECT(choice(9, false) == HopperUse::kLarge);
  unsetenv("ALIGNLAB_CUDA_HOPPER");
}

}  // namespace

int main() {
  if (!kEmulateCuda) return 0;
  TestProducts();
  OnFastDevice(CheckProducts);
  TestOrders();
  TestTaken();
  TestAttentionTaken();
  TestGradientsTaken();
  TestAttentionAsked();
  TestChoice();
  return Report();
}
