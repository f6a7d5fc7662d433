// Attention and its backward over forests of segments, against native/reference.
#include "reference/attention.h"
#include "test/attention_case.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

// Where pages are bf16, P and dS are rounded to bf16 as well: by 2^-9 of each at most.
bool RoundsScores(const Backend& backend, DType dtype) {
  return backend.KvLayoutOf(dtype).dtype == DType::kBF16;
}

// Scores of size up to 5 from 80 f32 additions, then averages of values of size 3. With rounded P
// the average of values below 4.5 is off by 2^-9 times that at most.
Tolerance OutTolerance(const Backend& backend, DType dtype) {
  return For(dtype, {RoundsScores(backend, dtype) ? 9e-3 : 5e-6, 2e-6});
}

// In bf16 the backward reads `out` for sum_j p_j dp_j with its 2^-9 rounding, times |d_out| |out|
// sqrt(head_dim) of size up to 10. Rounded P and d_out are off by 2^-8 of their product at most,
// whose sums over up to 700 rows of queries are up to 15 in d_v; those of dS times q or k, with
// scale, are no larger.
Tolerance GradientTolerance(DType dtype) {
  return dtype == DType::kF32 ? Tolerance{2e-5, 5e-6} : Tolerance{6e-2, 1e-2};
}

void ExpectAttention(const Backend& backend, const Forest& forest, const Heads& heads,
                     DType dtype) {
  AttentionCase expected(backend, forest, heads, dtype, 52);
  AttentionCase actual(backend, forest, heads, dtype, 52);
  reference::Attention(expected.Forward());
  reference::AttentionBackward(expected.Backward());
  backend.ops.attention(backend.device, actual.Forward());
  backend.ops.attention_backward(backend.device, actual.Backward());
  ExpectClose("out", actual.out, expected.out, OutTolerance(backend, dtype));
  ExpectClose("lse", actual.lse, expected.lse, {3e-6, 1e-6});
  const Tolerance sums = GradientTolerance(dtype);
  ExpectClose("d_q", actual.d_q, expected.d_q, sums);
  ExpectClose("d_k", actual.d_k, expected.d_k, sums);
  ExpectClose("d_v", actual.d_v, expected.d_v, sums);
}

void TestAttention(const Backend& backend, std::span<const Heads> all, DType dtype) {
  for (size_t tree = 0; tree < std::size(kTrees); ++tree)
    for (const Heads& heads : all) {
      const Context context("attention " + Label(heads, tree));
      ExpectAttention(backend, Forest(kTrees[tree]), heads, dtype);
    }
}

// What GPU kernels have a width of their own for: up to 128 and up to 256; more heads in a group
// than rows in a block.
void TestShapes(const Backend& backend) {
  struct Shape {
    Heads heads;
    Tree tree;
  };
  const Shape shapes[] = {{{2, 1, 128}, kTrees[2]},
                          {{1, 1, 136}, kTrees[2]},
                          {{2, 2, 256}, kTrees[2]},
                          {{70, 1, 8}, {{-1, 0}, {9, 4}}}};
  for (const Shape& shape : shapes)
    for (DType dtype : kComputeTypes) {
      const Context context("shape " + std::to_string(&shape - shapes) + " " + Name(dtype));
      ExpectAttention(backend, Forest(shape.tree), shape.heads, dtype);
    }
}

// A device may keep the tables of a batch: calls that name one have the bits of calls that do not.
void TestBatches(const Backend& backend, const Heads& heads, DType dtype) {
  for (size_t tree : {3, 3, 2, 4}) {
    const Context context("batch of tree " + std::to_string(tree));
    const Forest forest(kTrees[tree]);
    AttentionCase named(backend, forest, heads, dtype, 57);
    AttentionCase unnamed(backend, forest, heads, dtype, 57);
    for (AttentionCase* c : {&named, &unnamed}) {
      AttentionBackwardArgs args = c->Backward();
      args.forward.batch = c == &named ? 100 + tree : 0;
      backend.ops.attention(backend.device, args.forward);
      backend.ops.attention_backward(backend.device, args);
    }
    EXPECT(named.out == unnamed.out && named.d_q == unnamed.d_q);
    EXPECT(named.d_k == unnamed.d_k && named.d_v == unnamed.d_v);
  }
}

// Decoding asks for one token at a time, prefill in any pieces, without lse: the same bits.
void TestPieces(const Backend& backend, std::span<const Heads> all, DType dtype) {
  for (const Heads& heads : all)
    for (int32_t piece : {1, 3, 16, 50}) {
      const Context context("pieces of " + std::to_string(piece) + " " + Label(heads, 3));
      const Forest forest(kTrees[3]);
      AttentionCase whole(backend, forest, heads, dtype, 53);
      AttentionCase pieces(backend, forest, heads, dtype, 53);
      backend.ops.attention(backend.device, whole.Forward());
      // Backwards, so that nothing is right because it was computed before.
      for (size_t s = forest.segments.size(); s-- > 0;)
        for (int32_t begin = 0; begin < forest.segments[s].length; begin += piece) {
          std::vector<AttentionSegment> segments = forest.segments;
          const int32_t count = std::min(piece, segments[s].length - begin);
          segments[s].length = begin + count;  // what follows does not exist yet
          const QueryRun run{int32_t(s), begin, count, 0};
          AttentionArgs args = pieces.Forward();
          args.q = pieces.q.Slice(segments[s].row + begin, count);
          args.out = pieces.out.Slice(segments[s].row + begin, count);
          for (AttentionSegment& segment : segments) segment.row = -1;
          args.segments = segments.data();
          args.runs = &run;
          args.run_count = 1;
          args.lse = nullptr;
          backend.ops.attention(backend.device, args);
        }
      EXPECT(pieces.out == whole.out);
    }
}

// One path of 150 tokens, uncut and cut: the outputs are equal bit for bit.
void TestCuts(const Backend& backend, std::span<const Heads> all, DType dtype) {
  const Tree uncut{{-1}, {150}};
  const Tree cuts[] = {{{-1, 0}, {64, 86}},
                       {{-1, 0}, {1, 149}},
                       {{-1, 0}, {149, 1}},
                       {{-1, 0, 1, 2, 3}, {7, 60, 16, 1, 66}}};
  for (const Heads& heads : all)
    for (const Tree& tree : cuts) {
      const Context context("cut " + Label(heads, size_t(&tree - cuts)));
      const Forest one(uncut), many(tree);
      AttentionCase a(backend, one, heads, dtype, 54);
      AttentionCase b(backend, many, heads, dtype, 54);
      for (int64_t t = 0; t < one.tokens; ++t)
        for (int64_t g = 0; g < heads.kv_heads; ++g)
          for (int64_t k = 0; k < heads.head_dim; ++k) {
            const KvPages from = a.Pages(), to = b.Pages();
            const int64_t old_slot = one.slots[size_t(t)], slot = many.slots[size_t(t)];
            reference::SetPageElement(to, reference::KeyIndex(to, slot, g, k),
                                      reference::KeyAt(from, old_slot, g, k));
            reference::SetPageElement(to, reference::ValueIndex(to, slot, g, k),
                                      reference::ValueAt(from, old_slot, g, k));
          }
      EXPECT(a.q == b.q);
      backend.ops.attention(backend.device, a.Forward());
      backend.ops.attention(backend.device, b.Forward());
      EXPECT(a.out == b.out);
      EXPECT(SameBits(a.lse, b.lse));
    }
}

auto BitsOf(const Backend& backend, const Heads& heads, DType dtype) {
  const Forest forest(kTrees[3]);
  AttentionCase c(backend, forest, heads, dtype, 56);
  backend.ops.attention(backend.device, c.Forward());
  backend.ops.attention_backward(backend.device, c.Backward());
  return std::tuple(c.out.bytes(), c.lse, c.d_q.bytes(), c.d_k.bytes(), c.d_v.bytes());
}

void TestThreads() {
  for (DType dtype : kComputeTypes)
    for (const Heads& heads : kHeads) {
      const auto run = [&](const Backend& backend) { return BitsOf(backend, heads, dtype); };
      ExpectSameOnThreads("attention " + Label(heads, 3), run);
      // 16-byte copies and copies of single elements.
      if (heads.head_dim == 64 || heads.head_dim == 20)
        ExpectSameInAnyOrder("attention " + Label(heads, 3), run);
    }
}

// By Hopper's instructions, whose P and dS are rounded as those of the other kernels; a path of
// more blocks than its rings have stages, whose pages and blocks begin apart; groups of heads of
// which few make a whole piece of queries, one alone does, and more than one has.
void TestFast(const Backend& backend) {
  const DType dtype = DType::kBF16;
  TestAttention(backend, kHopperHeads, dtype);
  const Forest forest({{-1, 0}, {300, 90}});
  for (const Heads& heads : {Heads{3, 1, 64}, Heads{1, 1, 128}}) {
    const Context context("long " + Label(heads, 0));
    ExpectAttention(backend, forest, heads, dtype);
  }
  const Forest small({{-1, 0, 0}, {9, 4, 60}});
  for (const Heads& heads : {Heads{12, 1, 64}, Heads{33, 1, 64}, Heads{70, 1, 128}}) {
    const Context context("group " + Label(heads, 0));
    ExpectAttention(backend, small, heads, dtype);
  }
}

// What is not finite in one sequence does not reach the gradients of another, not even where boxes
// of queries end inside of it.
void TestStrangers(const Backend& backend, std::span<const Heads> all) {
  const Forest forest({{-1, 0, -1}, {70, 40, 50}});
  const int64_t own = forest.segments[2].row;
  for (const Heads& heads : all) {
    const Context context("strangers " + Label(heads, 0));
    AttentionCase clean(backend, forest, heads, DType::kBF16, 58);
    AttentionCase other(backend, forest, heads, DType::kBF16, 58);
    for (int64_t row = own; row < forest.tokens; ++row)
      for (int64_t k = 0; k < other.width; ++k) {
        other.q.Set(row, k, NAN);
        other.d_out.Set(row, k, INFINITY);
      }
    for (AttentionCase* c : {&clean, &other}) {
      backend.ops.attention(backend.device, c->Forward());
      backend.ops.attention_backward(backend.device, c->Backward());
    }
    for (const auto& [a, b] :
         {std::pair(&clean.d_q, &other.d_q), {&clean.d_k, &other.d_k}, {&clean.d_v, &other.d_v}}) {
      int64_t wrong = 0;
      for (int64_t row = 0; row < own; ++row)
        for (int64_t k = 0; k < a->cols(); ++k) wrong += a->Get(row, k) != b->Get(row, k);
      EXPECT(wrong == 0);
    }
  }
}

// Where all calls go there, its bits depend on as little as those of the other kernel.
void TestHopper(const Backend& backend) {
  const DType dtype = DType::kBF16;
  TestFast(backend);
  TestStrangers(backend, kHopperHeads);
  TestBatches(backend, kHopperHeads[0], dtype);
  TestPieces(backend, kHopperHeads, dtype);
  TestCuts(backend, kHopperHeads, dtype);
}

void TestHopperOrders() {
  for (const Heads& heads : kHopperHeads)
    ExpectSameInAnyOrder(
        "attention " + Label(heads, 3),
        [&](const Backend& backend) { return BitsOf(backend, heads, DType::kBF16); },
        cuda::HopperUse::kAlways);
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestShapes(backend);
    for (DType dtype : kComputeTypes) {
      const Context context(Name(dtype));
      TestAttention(backend, kHeads, dtype);
      TestBatches(backend, kHeads[0], dtype);
      TestPieces(backend, kHeads, dtype);
      TestCuts(backend, kHeads, dtype);
    }
  });
  TestThreads();
  cuda::emulation::SetGpu(9, 0, 3);  // blocks, of which each has several parts of tiles
  OnEmulatedCuda(cuda::HopperUse::kAlways, TestHopper);
  cuda::emulation::SetGpu(9, 0, 1);
  TestHopperOrders();
  OnFastDevice(TestFast);
  return Report();
}
