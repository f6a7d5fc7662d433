// What is asked of cuBLASLt, by a stand-in for it: plain loops that follow its descriptors, columns
// first. That the real library is asked the same cannot be seen without a GPU.
#include "cuda/cublas.h"

#include "cuda/device.h"
#include "reference/linear.h"
#include "test/harness.h"

namespace alignlab::cuda::cublas {

struct MatmulDescription {
  int transposed[2] = {};
  const float* bias = nullptr;
  int epilogue = 0, bias_type = -1;
};
struct MatrixLayout {
  DType type;
  int64_t rows, cols, stride;
};
struct MatmulPreference {
  size_t workspace = 0;
};

}  // namespace alignlab::cuda::cublas

namespace {

using namespace alignlab;
using namespace alignlab::test;
namespace cublas = alignlab::cuda::cublas;

int products = 0, alive = 0;

template <class T, class... Arguments>
int Create(T** to, Arguments... arguments) {
  *to = new T{arguments...};
  ++alive;
  return 0;
}
template <class T>
int Destroy(T* of) {
  delete of;
  --alive;
  return 0;
}

int SetDescription(cublas::Description of, int attribute, const void* value, size_t bytes) {
  const auto set = [&](auto* to) {
    EXPECT(bytes == sizeof *to);
    std::memcpy(to, value, sizeof *to);
    return 0;
  };
  if (attribute == cublas::kTransposeA) return set(&of->transposed[0]);
  if (attribute == cublas::kTransposeB) return set(&of->transposed[1]);
  if (attribute == cublas::kEpilogue) return set(&of->epilogue);
  if (attribute == cublas::kBiasPointer) return set(&of->bias);
  if (attribute == cublas::kBiasDataType) return set(&of->bias_type);
  return 7;  // CUBLAS_STATUS_INVALID_VALUE
}

// Element (row, col) of what a layout describes, transposed or not.
double At(const void* data, const cublas::MatrixLayout& of, int64_t row, int64_t col,
          bool transposed) {
  if (transposed) std::swap(row, col);
  EXPECT(row < of.rows && col < of.cols);
  const Tensor t{const_cast<void*>(data), of.type, of.cols, of.rows, of.stride};
  return reference::Value(t, col, row);
}

int Matmul(cublas::Handle, cublas::Description of, const void* alpha, const void* a,
           cublas::Layout of_a, const void* b, cublas::Layout of_b, const void* beta, const void* c,
           cublas::Layout of_c, void* d, cublas::Layout of_d, const cublas::Algorithm*, void*,
           size_t, void*) {
  ++products;
  EXPECT(*static_cast<const float*>(alpha) == 1 && c == d && of_c == of_d);
  EXPECT(!of->bias || (of->epilogue == cublas::kAddBias && of->bias_type == cublas::kReal32F));
  const double before = double(*static_cast<const float*>(beta));
  const int64_t depth = of->transposed[0] ? of_a->rows : of_a->cols;
  EXPECT(depth == (of->transposed[1] ? of_b->cols : of_b->rows));
  for (int64_t i = 0; i < of_d->rows; ++i)
    for (int64_t j = 0; j < of_d->cols; ++j) {
      double sum = of->bias ? double(of->bias[i]) : 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += At(a, *of_a, i, k, of->transposed[0]) * At(b, *of_b, k, j, of->transposed[1]);
      const Tensor to{d, of_d->type, of_d->cols, of_d->rows, of_d->stride};
      if (before != 0) sum += before * reference::Value(to, j, i);
      reference::SetValue(to, j, i, sum);
    }
  return 0;
}

int Heuristic(cublas::Handle, cublas::Description, cublas::Layout, cublas::Layout, cublas::Layout,
              cublas::Layout, cublas::Preference, int, cublas::Heuristic* best, int* found) {
  *best = {};
  *found = 1;
  return 0;
}

constexpr cublas::Functions kStandIn = {
    .get_version = [] { return size_t(130101); },
    .create = [](cublas::Handle*) { return 0; },
    .destroy = [](cublas::Handle) { return 0; },
    .description_create =
        [](cublas::Description* to, int compute, int scale) {
          EXPECT(compute == cublas::kCompute32F && scale == cublas::kReal32F);
          return Create(to);
        },
    .description_destroy = Destroy<cublas::MatmulDescription>,
    .description_set = SetDescription,
    .layout_create =
        [](cublas::Layout* to, int type, uint64_t rows, uint64_t cols, int64_t stride) {
          EXPECT(stride >= int64_t(rows));
          return Create(to, type == cublas::kReal32F ? DType::kF32 : DType::kBF16, int64_t(rows),
                        int64_t(cols), stride);
        },
    .layout_destroy = Destroy<cublas::MatrixLayout>,
    .preference_create = [](cublas::Preference* to) { return Create(to); },
    .preference_destroy = Destroy<cublas::MatmulPreference>,
    .preference_set = [](cublas::Preference, int, const void*, size_t) { return 0; },
    .heuristic = Heuristic,
    .matmul = Matmul,
};

struct Case {
  Matrix x, y, d_y, d_x;
  OwnedWeight weight, d_weight;
  std::vector<float> bias;

  Case(DType dtype, uint64_t seed) : Case(dtype, Random(seed)) {}

 private:
  Case(DType dtype, Random random)
      : x(dtype, 9, 20, 2, random),
        y(DType::kF32, 9, 14, 1, random),
        d_y(dtype, 9, 14, 4, random),
        d_x(DType::kF32, 9, 20, 0, random),
        weight(dtype, 14, 20, random),
        d_weight(DType::kF32, 14, 20, random),
        bias(random.Normals(14)) {}
};

// y, d_x and d_weight, with what each of them can add.
template <class Forward, class InputGrad, class WeightGrad>
void RunAll(Case& c, const Forward& forward, const InputGrad& input, const WeightGrad& weight) {
  forward(LinearArgs{c.x.tensor(), c.weight.weight(), c.bias.data(), c.y.tensor(), true});
  input(LinearInputGradArgs{c.d_y.tensor(), c.weight.weight(), c.d_x.tensor(), false});
  weight(LinearWeightGradArgs{c.d_y.tensor(), c.x.tensor(), c.d_weight.weight(), nullptr});
}

void TestProducts(bool with_library) {
  cuda::CudaBackend gpu(0);
  const Backend& backend = gpu.table();
  const PanelsOf panels(backend);
  auto& device = *static_cast<cuda::Device*>(backend.device);
  device.SetExact(false);  // the emulated device has no library that could reach it
  EXPECT(device.cublas() == nullptr);
  if (with_library) device.UseCublas(cuda::Cublas::Start(kStandIn));
  for (DType dtype : kComputeTypes) {
    const Context context(std::string("products by ") + (with_library ? "library " : "tiles ") +
                          Name(dtype));
    Case actual(dtype, 61), expected(dtype, 61);
    products = 0;
    RunAll(
        actual, [&](const LinearArgs& args) { backend.ops.linear(backend.device, args); },
        [&](const LinearInputGradArgs& args) {
          backend.ops.linear_input_grad(backend.device, args);
        },
        [&](const LinearWeightGradArgs& args) {
          backend.ops.linear_weight_grad(backend.device, args);
        });
    RunAll(
        expected, [](const LinearArgs& args) { reference::Linear(args); },
        [](const LinearInputGradArgs& args) { reference::LinearInputGrad(args); },
        [](const LinearWeightGradArgs& args) { reference::LinearWeightGrad(args); });
    EXPECT(products == (with_library ? 3 : 0) && alive == 0);
    // Up to 20 products of size 1, each rounded at 2^-24.
    ExpectClose("y", actual.y, expected.y, {1e-5, 1e-6});
    ExpectClose("d_x", actual.d_x, expected.d_x, {1e-5, 1e-6});
    ExpectClose("d_weight", actual.d_weight, expected.d_weight, {1e-5, 1e-6});
  }
  device.SetExact(true);
  EXPECT(device.cublas() == nullptr);
}

}  // namespace

int main() {
  TestProducts(false);
  TestProducts(true);
  cublas::Functions broken = kStandIn;
  broken.create = [](cublas::Handle*) { return 1; };  // CUBLAS_STATUS_NOT_INITIALIZED
  EXPECT(cuda::Cublas::Start(broken) == nullptr);
  EXPECT(cuda::Cublas::Start(kStandIn)->Version() == "13.1.1");
  return Report();
}
