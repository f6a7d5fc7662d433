// What the tests of Qkv and of Attention share: forests of segments with pages, and the arguments
// of one call each, at random.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "reference/qkv.h"
#include "test/backends.h"

namespace alignlab::test {

struct Heads {
  int32_t heads, kv_heads, head_dim;
};
constexpr Heads kHeads[] = {{4, 2, 16}, {3, 1, 8}, {2, 2, 20}, {9, 3, 64}, {2, 1, 80}};
// Those that Hopper's attention takes.
constexpr Heads kHopperHeads[] = {{9, 3, 64}, {7, 1, 64}, {2, 2, 64}, {4, 2, 128}};

// A tree as parents and lengths; lengths around the page of 64 and the panel of 16.
struct Tree {
  std::vector<int32_t> parents, lengths;
};
inline const Tree kTrees[] = {
    {{-1}, {1}},
    {{-1}, {130}},
    {{-1, 0, 0}, {63, 64, 65}},
    {{-1, 0, 0, 1, -1, 4}, {17, 1, 40, 70, 5, 100}},
    {{-1, 0, 1, 2, 3}, {3, 1, 64, 2, 66}},
};

inline std::string Label(const Heads& h, size_t tree) {
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
  KvLayout layout;
  int64_t width, kv_width, page_stride;
  Matrix qkv, q, out, d_out, d_q, d_k, d_v, d_qkv;
  std::vector<uint8_t> memory;  // of the pages
  std::vector<float> lse, cos, sin, q_norm, k_norm, d_q_norm, d_k_norm;

  // `dtype` is the model's; the pages and q are as `backend` keeps them for such a model.
  AttentionCase(const Backend& backend, const Forest& forest, const Heads& heads, DType dtype,
                uint64_t seed)
      : AttentionCase(backend.KvLayoutOf(dtype), forest, heads, dtype, Random(seed)) {}

  KvPages Pages() const {
    return {const_cast<uint8_t*>(memory.data()), page_stride, h.kv_heads, h.head_dim, layout};
  }
  int64_t PageElements() const { return forest.page_count * page_stride; }
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
  AttentionCase(KvLayout kv, const Forest& f, const Heads& heads, DType dtype, Random random)
      : forest(f),
        h(heads),
        layout(kv),
        width(heads.heads * heads.head_dim),
        kv_width(heads.kv_heads * heads.head_dim),
        page_stride(kv_width * 2 * kPage + 2 * heads.head_dim),
        qkv(dtype, f.tokens, width + 2 * kv_width, 4, random),
        q(kv.dtype, f.tokens, width, 0, random),
        out(dtype, f.tokens, width, 2),
        d_out(DType::kF32, f.tokens, width, 0, random),
        d_q(DType::kF32, f.tokens, width, 0, random),
        d_k(DType::kF32, f.tokens, kv_width, 0, random),
        d_v(DType::kF32, f.tokens, kv_width, 0, random),
        d_qkv(dtype, f.tokens, width + 2 * kv_width, 4),
        // Where nothing was written yet there is NaN: no token may see what does not exist.
        memory(size_t(f.page_count * page_stride) * SizeOf(kv.dtype), 0xff),
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

}  // namespace alignlab::test
