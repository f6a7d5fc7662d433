// Burn: multiply-adds on registers alone, what the arithmetic units can do at most. In bf16 that is
// the tensor cores' rate by the instruction that our products use.
#include "cuda/launch.h"
#include "cuda/operations.h"

namespace alignlab::cuda {

namespace {

constexpr int kThreads = 256, kBlocksPerMultiprocessor = 4;
constexpr int kChains = 8;  // more than an instruction's latency times its rate, over all warps

__global__ void BurnF32(int64_t rounds, float* sums) {
  float chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = 1.0f;
  for (int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) chain[i] = Fma(chain[i], 0.999f, 1e-3f);
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  sums[blockIdx.x * kThreads + threadIdx.x] = sum;
}

__global__ void BurnBf16(int64_t rounds, float* sums) {
  const uint32_t one = PackBf16(1.0f, 1.0f), small = PackBf16(0x1p-10f, 0x1p-10f);
  const uint32_t a[4] = {one, one, one, one};
  float chain[kChains][4] = {};
  for (int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < kChains; ++i) MmaBf16(chain[i], a, small, small);
  float sum = 0;
  for (int i = 0; i < kChains; ++i) sum += chain[i][0];
  sums[blockIdx.x * kThreads + threadIdx.x] = sum;
}

}  // namespace

int64_t Burn(void* device, DType dtype, int64_t rounds) {
  const Operation op(device);
  const int64_t blocks = int64_t(op->properties().multiprocessors) * kBlocksPerMultiprocessor;
  auto* sums = op->Scratch<float>(blocks * kThreads);
  const bool f32 = dtype == DType::kF32;
  Launch(op.device(), f32 ? BurnF32 : BurnBf16, {blocks}, kThreads, 0, rounds, sums);
  float last = 0;
  op->CopyOut(&last, sums + blocks * kThreads - 1, 1);  // who calls measures the time
  const int64_t f32_flops = blocks * kThreads * 2;
  const int64_t bf16_flops = blocks * (kThreads / kWarp) * 2 * 16 * 8 * 16;
  return last == last ? rounds * kChains * (f32 ? f32_flops : bf16_flops) : 0;
}

}  // namespace alignlab::cuda
