// Qkv, Attention and their backwards over forests of segments, against native/reference.
#include "reference/attention.h"
#include "reference/qkv.h"
#include "test/harness.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Heads {
  int32_t heads, kv_heads, head_dim;
};
constexpr Heads kHeads[] = {{4, 2, 16}, {3, 1, 8}, {2, 2, 20}, {9, 3, 64}, {2, 1, 80}};

// A tree as parents and lengths; lengths around the page of 64 and the panel of 16.
struct Tree {
  std::vector<int32_t> parents, lengths;
};
const Tree kTrees[] = {
    {{-1}, {1}},
    {{-1}, {130}},
    {{-1, 0, 0}, {63, 64, 65}},
    {{-1, 0, 0, 1, -1, 4}, {17, 1, 40, 70, 5, 100}},
    {{-1, 0, 1, 2, 3}, {3, 1, 64, 2, 66}},
};

std::string Label(const Heads& h, size_t tree) {
  return std::to_string(h.heads) + "/" + std::to_string(h.kv_heads) + "x" +
         std::to_string(h.head_dim) + " tree " + std::to_string(tree);
}

// A forest with its pages, each segment's tokens in successive rows, every token a query.
struct Forest {
  std::vector<std::vector<int32_t>> pages;
  std::vector<AttentionSegment> segments;
  std::vector<QueryRun> runs;
  std::vector<int32_t> positions;
  std::vector<int64_t> slots;
  int32_t page_count = 0;
  int64_t tokens = 0;

  explicit Forest(const Tree& tree) : pages(tree.parents.size()) {
    for (int32_t length : tree.lengths) page_count += int32_t((length + kPage - 1) / kPage);
    int32_t next = page_count;  // from the back: pages in no order
    for (size_t s = 0; s < tree.parents.size(); ++s) {
      const int32_t parent = tree.parents[s], length = tree.lengths[s];
      const int32_t begin =
          parent < 0 ? 0 : segments[size_t(parent)].position + segments[size_t(parent)].length;
      for (int64_t p = 0; p * kPage < length; ++p) pages[s].push_back(--next);
      segments.push_back({parent, begin, length, tokens, pages[s].data()});
      runs.push_back({int32_t(s), 0, length, tokens});
      for (int32_t t = 0; t < length; ++t) {
        positions.push_back(begin + t);
        slots.push_back(pages[s][size_t(t / kPage)] * kPage + t % kPage);
      }
      tokens += length;
    }
  }
  Forest(const Forest&) = delete;
};

struct AttentionCase {
  const Forest& forest;
  Heads h;
  int64_t width, kv_width, page_stride;
  Matrix qkv, q, out, d_out, d_q, d_k, d_v, d_qkv;
  std::vector<float> memory, lse, cos, sin, q_norm, k_norm, d_q_norm, d_k_norm;

  AttentionCase(const Forest& forest, const Heads& heads, DType dtype, uint64_t seed)
      : AttentionCase(forest, heads, dtype, Random(seed)) {}

  KvPages Pages() { return {memory.data(), page_stride, h.kv_heads, h.head_dim}; }
  QkvArgs Qkv(int32_t rotary_dim, bool norm) {
    return {qkv.tensor(),
            h.heads,
            h.kv_heads,
            h.head_dim,
            rotary_dim,
            cos.data(),
            sin.data(),
            forest.positions.data(),
            norm ? q_norm.data() : nullptr,
            norm ? k_norm.data() : nullptr,
            1e-6f,
            q.tensor(),
            forest.slots.data(),
            Pages()};
  }
  QkvBackwardArgs QkvBackward(int32_t rotary_dim, bool norm) {
    return {Qkv(rotary_dim, norm), d_q.tensor(),    d_k.tensor(),   d_v.tensor(),
            d_qkv.tensor(),        d_q_norm.data(), d_k_norm.data()};
  }
  AttentionArgs Forward() {
    return {q.tensor(),
            Pages(),
            h.heads,
            1 / std::sqrt(float(h.head_dim)),
            forest.segments.data(),
            int64_t(forest.segments.size()),
            forest.runs.data(),
            int64_t(forest.runs.size()),
            out.tensor(),
            lse.data()};
  }
  AttentionBackwardArgs Backward() {
    return {Forward(), d_out.tensor(), d_q.tensor(), d_k.tensor(), d_v.tensor()};
  }
  // Keys and values of every token, at random, as Qkv would leave them.
  void FillPages(Random& random) {
    for (int64_t slot : forest.slots)
      for (int64_t g = 0; g < h.kv_heads; ++g)
        for (int64_t k = 0; k < h.head_dim; ++k) {
          const KvPages kv = Pages();
          reference::SetPageElement(kv, reference::KeyIndex(kv, slot, g, k), random.Normal());
          reference::SetPageElement(kv, reference::ValueIndex(kv, slot, g, k), random.Normal());
        }
  }

 private:
  AttentionCase(const Forest& f, const Heads& heads, DType dtype, Random random)
      : forest(f),
        h(heads),
        width(heads.heads * heads.head_dim),
        kv_width(heads.kv_heads * heads.head_dim),
        page_stride(kv_width * 2 * kPage + 32),
        qkv(dtype, f.tokens, width + 2 * kv_width, 4, random),
        q(DType::kF32, f.tokens, width, 0, random),
        out(dtype, f.tokens, width, 2),
        d_out(DType::kF32, f.tokens, width, 0, random),
        d_q(DType::kF32, f.tokens, width, 0, random),
        d_k(DType::kF32, f.tokens, kv_width, 0, random),
        d_v(DType::kF32, f.tokens, kv_width, 0, random),
        d_qkv(dtype, f.tokens, width + 2 * kv_width, 4),
        // Where nothing was written yet there is NaN: no token may see what does not exist.
        memory(size_t(f.page_count * page_stride), NAN),
        lse(size_t(f.tokens * heads.heads)),
        q_norm(random.Normals(heads.head_dim, 0.3, 1)),
        k_norm(random.Normals(heads.head_dim, 0.3, 1)),
        d_q_norm(random.Normals(heads.head_dim)),
        d_k_norm(random.Normals(heads.head_dim)) {
    const int64_t half = heads.head_dim / 2;
    for (int64_t position = 0; position < 400; ++position)
      for (int64_t i = 0; i < half; ++i) {
        const double angle = double(position) * std::pow(1e4, -double(i) / double(half));
        cos.push_back(float(std::cos(angle)));
        sin.push_back(float(std::sin(angle)));
      }
    FillPages(random);
  }
};

void TestQkv() {
  const Forest forest(kTrees[3]);
  for (const Heads& heads : kHeads)
    for (DType dtype : kComputeTypes)
      for (bool norm : {false, true})
        for (int32_t rotary_dim : {0, heads.head_dim / 4 * 2, heads.head_dim}) {
          const Context context("qkv " + Label(heads, 3) + " " + Name(dtype) + " rotary " +
                                std::to_string(rotary_dim) + (norm ? " norm" : ""));
          AttentionCase expected(forest, heads, dtype, 51);
          reference::Qkv(expected.Qkv(rotary_dim, norm));
          reference::QkvBackward(expected.QkvBackward(rotary_dim, norm));
          OnEveryInstructionSet([&](const Backend& backend) {
            AttentionCase actual(forest, heads, dtype, 51);
            backend.ops.qkv(backend.device, actual.Qkv(rotary_dim, norm));
            backend.ops.qkv_backward(backend.device, actual.QkvBackward(rotary_dim, norm));
            // A handful of f32 roundings of values of size up to 5.
            ExpectClose("q", actual.q, expected.q, {2e-6, 2e-6});
            ExpectClose("pages", actual.memory, expected.memory, {2e-6, 2e-6});
            ExpectClose("d_qkv", actual.d_qkv, expected.d_qkv, For(dtype, {5e-6, 2e-6}));
            // 233 tokens times up to 9 heads: sums near 50 of terms near 1.
            ExpectClose("d_q_norm", actual.d_q_norm, expected.d_q_norm, {1e-4, 2e-6});
            ExpectClose("d_k_norm", actual.d_k_norm, expected.d_k_norm, {1e-4, 2e-6});
          });
        }
}

void TestAttention() {
  for (size_t tree = 0; tree < std::size(kTrees); ++tree)
    for (const Heads& heads : kHeads)
      for (DType dtype : kComputeTypes) {
        const Context context("attention " + Label(heads, tree) + " " + Name(dtype));
        const Forest forest(kTrees[tree]);
        AttentionCase expected(forest, heads, dtype, 52);
        reference::Attention(expected.Forward());
        reference::AttentionBackward(expected.Backward());
        // The backward reads `out` for sum_j p_j dp_j: in bf16 it carries its 2^-9 rounding, times
        // |d_out| |out| sqrt(head_dim) of size up to 10.
        const Tolerance sums = dtype == DType::kF32 ? Tolerance{2e-5, 5e-6} : Tolerance{6e-2, 1e-2};
        OnEveryInstructionSet([&](const Backend& backend) {
          AttentionCase actual(forest, heads, dtype, 52);
          backend.ops.attention(backend.device, actual.Forward());
          backend.ops.attention_backward(backend.device, actual.Backward());
          // Scores of size up to 5 from 80 f32 additions, then averages of values of size 3.
          ExpectClose("out", actual.out, expected.out, For(dtype, {5e-6, 2e-6}));
          ExpectClose("lse", actual.lse, expected.lse, {3e-6, 1e-6});
          ExpectClose("d_q", actual.d_q, expected.d_q, sums);
          ExpectClose("d_k", actual.d_k, expected.d_k, sums);
          ExpectClose("d_v", actual.d_v, expected.d_v, sums);
        });
      }
}

// Decoding asks for one token at a time, prefill in any pieces, without lse: the same bits.
void TestPieces(const Backend& backend) {
  for (const Heads& heads : kHeads)
    for (int32_t piece : {1, 3, 16, 50}) {
      const Context context("pieces of " + std::to_string(piece) + " " + Label(heads, 3));
      const Forest forest(kTrees[3]);
      AttentionCase whole(forest, heads, DType::kF32, 53), pieces(forest, heads, DType::kF32, 53);
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
void TestCuts(const Backend& backend) {
  const Tree uncut{{-1}, {150}};
  const Tree cuts[] = {{{-1, 0}, {64, 86}},
                       {{-1, 0}, {1, 149}},
                       {{-1, 0}, {149, 1}},
                       {{-1, 0, 1, 2, 3}, {7, 60, 16, 1, 66}}};
  for (const Heads& heads : kHeads)
    for (const Tree& tree : cuts) {
      const Context context("cut " + Label(heads, size_t(&tree - cuts)));
      const Forest one(uncut), many(tree);
      AttentionCase a(one, heads, DType::kF32, 54), b(many, heads, DType::kF32, 54);
      for (int64_t t = 0; t < one.tokens; ++t)
        for (int64_t g = 0; g < heads.kv_heads; ++g)
          for (int64_t k = 0; k < heads.head_dim; ++k) {
            reference::KeyAt(b.Pages(), many.slots[size_t(t)], g, k) =
                reference::KeyAt(a.Pages(), one.slots[size_t(t)], g, k);
            reference::ValueAt(b.Pages(), many.slots[size_t(t)], g, k) =
                reference::ValueAt(a.Pages(), one.slots[size_t(t)], g, k);
          }
      EXPECT(a.q == b.q);
      backend.ops.attention(backend.device, a.Forward());
      backend.ops.attention(backend.device, b.Forward());
      EXPECT(a.out == b.out);
      EXPECT(SameBits(a.lse, b.lse));
    }
}

void TestQkvAlone(const Backend& backend) {
  const Forest forest(kTrees[3]);
  for (DType dtype : kComputeTypes) {
    AttentionCase batch(forest, kHeads[0], dtype, 55), alone(forest, kHeads[0], dtype, 55);
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
    EXPECT(SameBits(alone.memory, batch.memory));
    EXPECT(alone.d_qkv == batch.d_qkv);
  }
}

void TestThreads() {
  const Forest forest(kTrees[3]);
  for (DType dtype : kComputeTypes)
    for (const Heads& heads : kHeads)
      ExpectSameOnThreads("attention " + Label(heads, 3), [&](const Backend& backend) {
        AttentionCase c(forest, heads, dtype, 56);
        backend.ops.qkv(backend.device, c.Qkv(heads.head_dim, true));
        backend.ops.attention(backend.device, c.Forward());
        backend.ops.attention_backward(backend.device, c.Backward());
        backend.ops.qkv_backward(backend.device, c.QkvBackward(heads.head_dim, true));
        return std::tuple(c.out.bytes(), c.lse, c.d_q.bytes(), c.d_k.bytes(), c.d_v.bytes(),
                          c.d_qkv.bytes(), c.d_q_norm, c.d_k_norm);
      });
}

}  // namespace

int main() {
  TestQkv();
  TestAttention();
  OnEveryInstructionSet([](const Backend& backend) {
    TestPieces(backend);
    TestCuts(backend);
    TestQkvAlone(backend);
  });
  TestThreads();
  return Report();
}
