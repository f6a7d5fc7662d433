// Products of a device that need not be exact: what is asked of cuBLASLt, by the emulation's
// stand-in for it. That the real library is asked the same cannot be seen without a GPU.
#include "cuda/cublas.h"

#include "cuda/device.h"
#include "cuda/emulation/cublas.h"
#include "reference/linear.h"
#include "test/backends.h"

namespace {

using namespace alignlab;
using namespace alignlab::test;
namespace cublas = alignlab::cuda::cublas;
using cuda::emulation::CublasStandIn;
using cuda::emulation::UseOfCublas;

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

void TestProducts(bool exact) {
  cuda::CudaBackend gpu(0, exact);
  const Backend& backend = gpu.table();
  const PanelsOf panels(backend);
  EXPECT(backend.exact == exact);
  for (DType dtype : kComputeTypes) {
    const Context context(std::string("products by ") + (exact ? "tiles " : "library ") +
                          Name(dtype));
    Case actual(dtype, 61), expected(dtype, 61);
    const int before = UseOfCublas().products;
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
    const auto [products, descriptors] = UseOfCublas();
    EXPECT(products - before == (exact ? 0 : 3) && descriptors == 0);
    // Up to 20 products of size 1, each rounded at 2^-24.
    ExpectClose("y", actual.y, expected.y, {1e-5, 1e-6});
    ExpectClose("d_x", actual.d_x, expected.d_x, {1e-5, 1e-6});
    ExpectClose("d_weight", actual.d_weight, expected.d_weight, {1e-5, 1e-6});
  }
}

}  // namespace

int main() {
  TestProducts(false);
  TestProducts(true);
  cublas::Functions broken = CublasStandIn();
  broken.create = [](cublas::Handle*) { return 1; };  // CUBLAS_STATUS_NOT_INITIALIZED
  EXPECT(cuda::Cublas::Start(broken) == nullptr);
  EXPECT(cuda::Cublas::Start(CublasStandIn())->Version() == "13.1.1");
  return Report();
}
