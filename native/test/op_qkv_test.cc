// Qkv and its backward over a forest of segments, against native/reference.
#include "reference/qkv.h"
#include "test/attention_case.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

void ExpectClosePages(const AttentionCase& actual, const AttentionCase& expected) {
  ExpectClose(
      "pages", actual.PageElements(),
      [&](int64_t i) { return reference::PageElement(actual.Pages(), i); },
      [&](int64_t i) { return reference::PageElement(expected.Pages(), i); },
      For(actual.layout.dtype, {2e-6, 2e-6}));
}

std::vector<Heads> AllHeads() {
  std::vector<Heads> all(std::begin(kHeads), std::end(kHeads));
  all.push_back({2, 1, 256});
  return all;
}

void TestQkv(const Backend& backend) {
  const Forest forest(kTrees[3]);
  for (const Heads& heads : AllHeads())
    for (DType dtype : kComputeTypes)
      for (bool norm : {false, true})
        for (int32_t rotary_dim : {0, heads.head_dim / 4 * 2, heads.head_dim}) {
          const Context context("qkv " + Label(heads, 3) + " " + Name(dtype) + " rotary " +
                                std::to_string(rotary_dim) + (norm ? " norm" : ""));
          AttentionCase expected(backend, forest, heads, dtype, 51);
          AttentionCase actual(backend, forest, heads, dtype, 51);
          reference::Qkv(expected.Qkv(rotary_dim, norm));
          reference::QkvBackward(expected.QkvBackward(rotary_dim, norm));
          backend.ops.qkv(backend.device, actual.Qkv(rotary_dim, norm));
          backend.ops.qkv_backward(backend.device, actual.QkvBackward(rotary_dim, norm));
          // A handful of f32 roundings of values of size up to 5; then, where the backend keeps
          // them in bf16, one to bf16.
          ExpectClose("q", actual.q, expected.q, For(actual.layout.dtype, {2e-6, 2e-6}));
          ExpectClosePages(actual, expected);
          ExpectClose("d_qkv", actual.d_qkv, expected.d_qkv, For(dtype, {5e-6, 2e-6}));
          // 233 tokens times up to 9 heads: sums near 50 of terms near 1.
          ExpectClose("d_q_norm", actual.d_q_norm, expected.d_q_norm, {1e-4, 2e-6});
          ExpectClose("d_k_norm", actual.d_k_norm, expected.d_k_norm, {1e-4, 2e-6});
        }
}

void TestQkvAlone(const Backend& backend) {
  const Forest forest(kTrees[3]);
  for (DType dtype : kComputeTypes) {
    AttentionCase batch(backend, forest, kHeads[0], dtype, 55);
    AttentionCase alone(backend, forest, kHeads[0], dtype, 55);
    backend.ops.qkv(backend.device, batch.Qkv(16, true));
    backend.ops.qkv_backward(backend.device, batch.QkvBackward(16, true));
    for (int64_t t = forest.tokens - 1; t >= 0; --t) {
      QkvBackwardArgs args = alone.QkvBackward(16, true);
      args.forward.qkv = alone.qkv.Slice(t, 1);
      args.forward.q = alone.q.Slice(t, 1);
      args.forward.positions += t;
      args.forward.kv_slot += t;
      backend.ops.qkv(backend.device, args.forward);
      args.d_q = alone.d_q.Slice(t, 1);
      args.d_k = alone.d_k.Slice(t, 1);
      args.d_v = alone.d_v.Slice(t, 1);
      args.d_qkv = alone.d_qkv.Slice(t, 1);
      backend.ops.qkv_backward(backend.device, args);
    }
    EXPECT(alone.q == batch.q);
    EXPECT(alone.memory == batch.memory);
    EXPECT(alone.d_qkv == batch.d_qkv);
  }
}

auto RunBoth(const Backend& backend, const Forest& forest, const Heads& heads, DType dtype) {
  AttentionCase c(backend, forest, heads, dtype, 57);
  backend.ops.qkv(backend.device, c.Qkv(heads.head_dim, true));
  backend.ops.qkv_backward(backend.device, c.QkvBackward(heads.head_dim, true));
  return std::tuple(c.q.bytes(), c.memory, c.d_qkv.bytes(), c.d_q_norm, c.d_k_norm);
}

void TestThreads() {
  const Forest forest(kTrees[3]);
  for (DType dtype : kComputeTypes)
    for (const Heads& heads : kHeads) {
      const auto run = [&](const Backend& backend) {
        return RunBoth(backend, forest, heads, dtype);
      };
      ExpectSameOnThreads("qkv " + Label(heads, 3), run);
      ExpectSameInAnyOrder("qkv " + Label(heads, 3), run);
    }
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestQkv(backend);
    TestQkvAlone(backend);
  });
  TestThreads();
  return Report();
}
