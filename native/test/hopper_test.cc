// Hopper's instructions as they are emulated, and the products that are made of them where tiles,
// stages and blocks are several.
#include "cuda/hopper.h"

#include "cuda/device.h"
#include "cuda/kernels/hopper_product.h"
#include "error.h"
#include "reference/linear.h"
#include "test/backends.h"

namespace {

using namespace alignlab;
using namespace alignlab::test;
using namespace alignlab::cuda;

void Run(unsigned threads, size_t shared, const std::function<void()>& kernel) {
  emulation::RunGrid({1, 1, 1}, {threads, 1, 1}, shared, kernel);
}

std::string FaultOf(unsigned threads, const std::function<void()>& kernel) {
  try {
    Run(threads, 32 << 10, kernel);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}
bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// Where PTX puts element (row, col) of a box: 8 rows of 128 bytes repeat, chunks of 16 bytes change
// places with the row.
size_t PlaceInBox(int row, int col) {
  const int chunk = (col / 8) ^ (row % 8);
  return size_t(row * 64 + chunk * 8 + col % 8);
}

// A box that lies across two edges of a matrix, read by a thread that did not start the copy.
void TestBoxes() {
  constexpr int kRows = 20, kCols = 72, kStride = 80, kBoxRows = 16;
  alignas(16) static uint16_t from[kRows * kStride];
  for (int i = 0; i < kRows * kStride; ++i) from[i] = uint16_t(i + 1);
  const TensorMap map = MakeTensorMap({from, kRows, kCols, kStride, kBoxRows});
  for (uint64_t seed : {1, 2, 3, 4}) {
    emulation::SetSeed(seed);
    int wrong = 0;
    Run(64, 4096, [&] {
      auto* full = reinterpret_cast<uint64_t*>(DynamicShared() + kBoxRows * 128);
      if (threadIdx.x == 0) InitBarrier(full, 1);
      __syncthreads();
      if (threadIdx.x == 0) {
        ArriveExpecting(full, kBoxRows * 128);
        CopyBox(DynamicShared(), map, 12, 16, full);
      } else if (threadIdx.x == 63) {
        WaitBarrier(full, 0);
        const auto* box = reinterpret_cast<const uint16_t*>(DynamicShared());
        for (int r = 0; r < kBoxRows; ++r)
          for (int c = 0; c < kBoxCols; ++c) {
            const bool inside = 12 + r < kRows && 16 + c < kCols;
            const int expected = inside ? (12 + r) * kStride + 16 + c + 1 : 0;
            wrong += box[PlaceInBox(r, c)] != expected;
          }
      }
    });
    EXPECT(wrong == 0);
  }
}

// Two threads hand a number to and fro, each waiting for the other's phase.
void TestPhases() {
  for (uint64_t seed : {1, 2, 3}) {
    emulation::SetSeed(seed);
    std::vector<int> seen;
    Run(64, 64, [&] {
      auto* full = reinterpret_cast<uint64_t*>(DynamicShared());
      uint64_t* empty = full + 1;
      int* number = reinterpret_cast<int*>(empty + 1);
      if (threadIdx.x == 0) {
        InitBarrier(full, 1);
        InitBarrier(empty, 1);
      }
      __syncthreads();
      for (int i = 0; i < 5; ++i) {
        const uint32_t parity = uint32_t(i % 2);
        if (threadIdx.x == 0) {
          WaitBarrier(empty, parity ^ 1);
          *number = i;
          Arrive(full);
        } else if (threadIdx.x == 40) {
          WaitBarrier(full, parity);
          seen.push_back(*number);
          Arrive(empty);
        }
      }
    });
    EXPECT((seen == std::vector<int>{0, 1, 2, 3, 4}));
  }
}

// A (64, 16) and B (128, 16) in shared memory, rows along the depth or along the outputs, laid down
// element by element; the products of both are compared with plain loops.
template <bool kAcrossA, bool kAcrossB>
void TestProduct() {
  const auto a = [](int row, int k) { return float((7 * row + 3 * k) % 11 - 5); };
  const auto b = [](int col, int k) { return float((5 * k + 2 * col) % 13 - 6); };
  static float out[64][128];
  const auto lay = [](uint16_t* to, bool across, int output, int term, float x) {
    const size_t at = across ? size_t(output / 64 * 64 * 64) + PlaceInBox(term, output % 64)
                             : PlaceInBox(output, term);
    to[at] = Bf16OfFloat(x);
  };
  Run(kWarpgroup, 32 << 10, [&] {
    auto* of_a = reinterpret_cast<uint16_t*>(DynamicShared());
    uint16_t* of_b = of_a + 64 * 64;
    if (threadIdx.x == 0)
      for (int k = 0; k < 16; ++k) {
        for (int row = 0; row < 64; ++row) lay(of_a, kAcrossA, row, k, a(row, k));
        for (int col = 0; col < 128; ++col) lay(of_b, kAcrossB, col, k, b(col, k));
      }
    __syncthreads();
    float d[64];
    const uint64_t in_a = SharedMatrix(DynamicShared(), 8192, 1024);
    const uint64_t in_b = SharedMatrix(DynamicShared() + 8192, 8192, 1024);
    OpenProducts();
    MultiplyWarpgroup<kAcrossA, kAcrossB>(d, in_a, in_b, false);
    MultiplyWarpgroup<kAcrossA, kAcrossB>(d, in_a, in_b, true);
    CommitProducts();
    WaitProducts<0>();
    const int t = int(threadIdx.x), row = t / 32 * 16 + t % 32 / 4, col = t % 4 * 2;
    for (int i = 0; i < 64; ++i) out[row + i / 2 % 2 * 8][col + i / 4 * 8 + i % 2] = d[i];
  });
  int wrong = 0;
  for (int row = 0; row < 64; ++row)
    for (int col = 0; col < 128; ++col) {
      float expected = 0;
      for (int k = 0; k < 16; ++k) expected += 2 * a(row, k) * b(col, k);
      wrong += out[row][col] != expected;
    }
  EXPECT(wrong == 0);
}

void TestFaults() {
  const auto barrier = [] { return reinterpret_cast<uint64_t*>(DynamicShared()); };
  EXPECT(Has(FaultOf(32, [&] { Arrive(barrier()); }), "before it was made"));
  EXPECT(Has(FaultOf(1,
                     [&] {
                       InitBarrier(barrier(), 1);
                       WaitBarrier(barrier(), 0);
                     }),
             "for ever"));
  const auto product = [](bool fenced, bool whole) {
    return [=] {
      float d[64] = {};
      if (fenced) OpenProducts();
      const int group = whole ? 0 : int(threadIdx.x) % 2;
      const uint64_t of = SharedMatrix(DynamicShared() + 1024 * group, 8192, 1024);
      MultiplyWarpgroup<false, false>(d, of, of, false);
      CommitProducts();
    };
  };
  EXPECT(Has(FaultOf(kWarpgroup, product(false, true)), "without a fence"));
  EXPECT(Has(FaultOf(kWarpgroup, product(true, false)), "different matrices"));
  EXPECT(Has(FaultOf(64, product(true, true)), "all of its threads"));
  bool found = false;  // by a seed for which the product is not done at its start
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    emulation::SetSeed(seed);
    found |= Has(FaultOf(kWarpgroup, product(true, true)), "never waited");
  }
  EXPECT(found);
}

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

// Sums of up to 600 terms of size 1 / sqrt(in), or of size 1 over tokens: partial sums below 60,
// each rounded at 2^-24.
constexpr Tolerance kSum = {1e-4, 1e-6};

// More tiles than blocks in both directions, more steps than stages, tails of all three; two blocks
// with wide tiles and ten with narrow ones.
void TestProducts() {
  for (int multiprocessors : {2, 10})
    for (const Shape& shape : {Shape{300, 344, 602}, Shape{260, 600, 135}})
      for (DType y_type : kComputeTypes) {
        const Context context(std::string(Name(y_type)) + ", multiprocessors " +
                              std::to_string(multiprocessors));
        emulation::SetGpu(9, 0, multiprocessors);
        OnEmulatedCuda(HopperUse::kLarge, [&](const Backend& backend) {
          Products actual(y_type, shape), expected = actual;
          actual.Run(backend);
          expected.RunReference();
          ExpectClose("y", actual.y, expected.y, For(y_type, kSum));
          ExpectClose("d_x", actual.d_x, expected.d_x, kSum);
          ExpectClose("d_weight", actual.d_weight, expected.d_weight, kSum);
        });
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
}

}  // namespace

int main() {
  if (!kEmulateCuda) return 0;
  TestBoxes();
  TestPhases();
  TestProduct<false, false>();
  TestProduct<false, true>();
  TestProduct<true, false>();
  TestProduct<true, true>();
  TestFaults();
  TestProducts();
  TestOrders();
  TestTaken();
  TestChoice();
  return Report();
}
