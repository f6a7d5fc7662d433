// The emulation of CUDA's threads: what kernels rely on holds, and what they must not do is found.
#include "cuda/simt.h"

#include "cuda/emulation/emulation.h"
#include "error.h"
#include "test/check.h"

using namespace alignlab;
using namespace alignlab::test;
using namespace alignlab::cuda;

namespace {

void Run(unsigned threads, size_t shared, const std::function<void()>& kernel) {
  emulation::RunGrid({1, 1, 1}, {threads, 1, 1}, shared, kernel);
}

std::string FaultOf(unsigned threads, const std::function<void()>& kernel) {
  try {
    Run(threads, 4096, kernel);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void TestBarrier() {
  constexpr unsigned kThreads = 96;
  float out[kThreads] = {};
  for (uint64_t seed : {1, 2, 3}) {
    emulation::SetSeed(seed);
    Run(kThreads, 1024, [&] {
      float* values = reinterpret_cast<float*>(DynamicShared());
      const unsigned i = threadIdx.x;
      for (int round = 0; round < 3; ++round) {
        values[i] = float(i + 100 * round);
        __syncthreads();
        out[i] = values[kThreads - 1 - i];
        __syncthreads();
      }
    });
    for (unsigned i = 0; i < kThreads; ++i) EXPECT(out[i] == float(kThreads - 1 - i + 200));
  }
}

void TestWarp() {
  float sums[64], largest[64];
  uint32_t odd = 0;
  Run(64, 0, [&] {
    const float x = float(threadIdx.x % 32);
    sums[threadIdx.x] = WarpSum(x);
    largest[threadIdx.x] = WarpMax(-x);
    const uint32_t bits = Ballot(threadIdx.x % 2 == 1);
    if (threadIdx.x == 40) odd = bits;
  });
  for (int i = 0; i < 64; ++i) EXPECT(sums[i] == 496 && largest[i] == 0);
  EXPECT(odd == 0xaaaaaaaau);
}

// C += A B over fragments loaded as kernels load them; B is kept as rows of k, and as rows of n.
void TestProduct() {
  float a[16][16], b[16][8], expected[16][8] = {}, plain[16][8], transposed[16][8];
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 16; ++k) a[i][k] = float((7 * i + 3 * k) % 11 - 5);
  for (int k = 0; k < 16; ++k)
    for (int j = 0; j < 8; ++j) b[k][j] = float((5 * k + 2 * j) % 13 - 6);
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      for (int k = 0; k < 16; ++k) expected[i][j] += a[i][k] * b[k][j];
  Run(32, 4096, [&] {
    auto* rows_of_a = reinterpret_cast<uint16_t*>(DynamicShared());  // (16, 16)
    uint16_t* rows_of_n = rows_of_a + 256;                           // (8, 16)
    uint16_t* rows_of_k = rows_of_n + 128;                           // (16, 8)
    const int lane = int(threadIdx.x);
    for (int i = lane; i < 256; i += 32) rows_of_a[i] = Bf16OfFloat(a[i / 16][i % 16]);
    for (int i = lane; i < 128; i += 32) {
      rows_of_n[i] = Bf16OfFloat(b[i % 16][i / 16]);
      rows_of_k[i] = Bf16OfFloat(b[i / 8][i % 8]);
    }
    __syncthreads();
    uint32_t fa[4], fb[4];
    LoadMatrix4(fa, rows_of_a + (lane % 16) * 16 + lane / 16 * 8);
    const auto multiply = [&](float(&out)[16][8], uint32_t b0, uint32_t b1) {
      float d[4] = {};
      MmaBf16(d, fa, b0, b1);
      for (int i = 0; i < 4; ++i) out[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2] = d[i];
    };
    LoadMatrix4(fb, rows_of_n + (lane % 8) * 16 + lane / 8 % 2 * 8);
    multiply(plain, fb[0], fb[1]);
    LoadMatrix4Transposed(fb, rows_of_k + (lane % 16) * 8);
    multiply(transposed, fb[0], fb[1]);
  });
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 8; ++j)
      EXPECT(plain[i][j] == expected[i][j] && transposed[i][j] == expected[i][j]);
}

void TestCopies() {
  alignas(16) float from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float seen[3] = {};
  Run(32, 64, [&] {
    float* to = reinterpret_cast<float*>(DynamicShared());
    if (threadIdx.x == 0) {
      to[0] = to[4] = 0;
      CopyAsync16(to, from, true);
      CommitAsync();
      CopyAsync16(to + 4, from, false);
      CommitAsync();
      seen[0] = to[0];  // it is still under way
      WaitAsync<1>();
      seen[1] = to[0];
      to[4] = 9;
      WaitAsync<0>();
      seen[2] = to[4];
    }
    __syncthreads();
  });
  EXPECT(seen[0] == 0 && seen[1] == 1 && seen[2] == 0);
}

void TestFaults() {
  const std::string never = FaultOf(32, [] {
    alignas(16) static float from[4];
    CopyAsync16(DynamicShared(), from, true);
  });
  EXPECT(Has(never, "never waited"));
  const std::string apart = FaultOf(64, [] {
    if (threadIdx.x < 32) {
      SyncWarp();
    } else if (threadIdx.x < 48) {
      __syncthreads();
    } else {
      SyncWarp();
    }
  });
  EXPECT(Has(apart, "for ever"));
  const std::string part = FaultOf(16, [] { SyncWarp(); });
  EXPECT(Has(part, "all of its lanes"));
  const std::string crooked = FaultOf(32, [] {
    alignas(16) static float from[5];
    CopyAsync16(DynamicShared(), from + 1, true);
    CommitAsync();
    WaitAsync<0>();
  });
  EXPECT(Has(crooked, "not aligned"));
}

void TestRounding() {
  EXPECT(Bf16OfFloat(1.0f) == 0x3f80);
  EXPECT(Bf16OfFloat(FloatOfBits(0x3f808000)) == 0x3f80);  // a tie goes to the even one
  EXPECT(Bf16OfFloat(FloatOfBits(0x3f818000)) == 0x3f82);
  EXPECT(Bf16OfFloat(FloatOfBits(0x3f808001)) == 0x3f81);
  const float nan = FloatOfBf16(Bf16OfFloat(FloatOfBits(0x7f800001)));
  EXPECT(nan != nan);
}

}  // namespace

int main() {
  TestBarrier();
  TestWarp();
  TestProduct();
  TestCopies();
  TestFaults();
  TestRounding();
  return Report();
}
