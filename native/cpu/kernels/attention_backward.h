// The way back through attention, probabilities recomputed from the stored log-sum-exp:
//   P = exp(scale q.k - lse)    D = sum_k dO O    dS = P (dO V^T - D)
//   dQ = scale dS K             dK = dS^T (scale q)     dV = P^T dO
// One task is a tree of segments (a root and all that descends from it) and a key/value head;
// inside it rows run in ascending order, so the sums over rows have one order for any threads.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/attention_path.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/transpose.h"

namespace alignlab {
namespace {

// The segments of each tree: members[first[t]] .. members[first[t + 1] - 1], ascending.
struct Trees {
  int64_t count;
  int32_t *first, *members;
};

inline Trees FindTrees(const AttentionSegment* segments, int64_t count, int32_t* memory) {
  int32_t *first = memory, *members = memory + count + 1, *tree_of = members + count;
  Trees trees{0, first, members};
  for (int64_t s = 0; s < count; ++s)  // parents stand before their children
    tree_of[s] = segments[s].parent < 0 ? int32_t(trees.count++) : tree_of[segments[s].parent];
  for (int64_t t = 0; t <= trees.count; ++t) first[t] = 0;
  for (int64_t s = 0; s < count; ++s) ++first[tree_of[s] + 1];
  for (int64_t t = 0; t < trees.count; ++t) first[t + 1] += first[t];
  for (int64_t s = 0; s < count; ++s) members[first[tree_of[s]]++] = int32_t(s);
  for (int64_t t = trees.count; t > 0; --t) first[t] = first[t - 1];
  first[0] = 0;
  return trees;
}

// One tree and head. Its tokens have slots in scratch memory, each segment from a multiple of 16.
struct TreeWork {
  const AttentionBackwardArgs* args;
  const int32_t* members;
  int64_t member_count, kv_head, group;
  int64_t dim, width;                // head dimension, and rounded up to whole vectors
  int64_t slots, block;              // query tokens at once
  const int64_t* slot;               // of each segment's first token
  float *keys, *d_keys, *d_values;   // (slots, width)
  float* values;                     // panels of 16 slots: (slots / 16, dim, 16)
  float *q, *d_out, *d_q;            // (block * group, width)
  float *q_columns, *d_out_columns;  // the same, transposed: (dim, rows)
  float *p, *d_s;                    // (block * group, kPage)
  float *lse, *delta;                // (block * group)
  int32_t* path;
};

// K row-major and V in panels: the layouts that the pages do not have.
inline void LoadTree(const TreeWork& w) {
  const AttentionArgs& f = w.args->forward;
  for (int64_t m = 0; m < w.member_count; ++m) {
    const AttentionSegment& segment = f.segments[w.members[m]];
    const int64_t base = w.slot[w.members[m]];
    for (int64_t t = 0; t < segment.length; t += kLanes) {
      const int64_t n = segment.length - t < kLanes ? segment.length - t : kLanes;
      const int32_t page = segment.pages[t / kPage];
      const float* keys = PageKeys(f.kv, page, w.kv_head) + t % kPage * w.dim;
      const float* values = PageValues(f.kv, page, w.kv_head) + t % kPage * w.dim;
      Transpose(keys, kLanes, w.dim, n, w.keys + (base + t) * w.width, w.width);
      float* panel = w.values + (base + t) * w.dim;
      Transpose(values, w.dim, n, w.dim, panel, kLanes);
      for (int64_t k = 0; n < kLanes && k < w.dim; ++k)
        for (int64_t lane = n; lane < kLanes; ++lane) panel[k * kLanes + lane] = 0;
    }
  }
  std::memset(w.d_keys, 0, size_t(w.slots * w.width) * 4);
  std::memset(w.d_values, 0, size_t(w.slots * w.width) * 4);
}

template <class T>
void LoadRows(const TreeWork& w, const QueryRun& b) {
  const AttentionArgs& f = w.args->forward;
  PackHeads(f.q, b.row, b.count, w.kv_head, w.group, w.dim, f.scale * kLog2E, w.width, w.q);
  PackHeads(w.args->d_out, b.row, b.count, w.kv_head, w.group, w.dim, 1, w.width, w.d_out);
  const int64_t rows = b.count * w.group;
  Transpose(w.q, w.width, rows, w.dim, w.q_columns, rows);
  Transpose(w.d_out, w.width, rows, w.dim, w.d_out_columns, rows);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = b.row + r / w.group, head = w.kv_head * w.group + r % w.group;
    const T* out = static_cast<const T*>(f.out.data) + row * f.out.stride + head * w.dim;
    Vec sum = Zero();
    for (int64_t k = 0; k < w.dim; k += kLanes) {
      const Vec o = k + kLanes <= w.dim ? LoadAs(out + k) : LoadPartialAs(out + k, int(w.dim - k));
      sum = Fma(o, Load(w.d_out + r * w.width + k), sum);
    }
    w.lse[r] = f.lse[row * f.heads + head] * kLog2E;
    w.delta[r] = ReduceAdd(sum);
  }
}

// Scores to P, dP to dS; zero where a row does not see the key. `first` is the number of keys of
// this page that the block's first token sees, each later token sees one more.
inline void ScoreGradient(const TreeWork& w, int64_t rows, int64_t vecs, int64_t first,
                          int64_t keys) {
  for (int64_t r = 0; r < rows; ++r) {
    int64_t seen = first + r / w.group;
    seen = seen < 0 ? 0 : seen > keys ? keys : seen;
    const Vec lse = Set1(w.lse[r]), delta = Set1(w.delta[r]);
    float *p = w.p + r * kPage, *d_s = w.d_s + r * kPage;
    for (int64_t j = 0; j < vecs * kLanes; j += kLanes) {
      Vec probability = Zero(), gradient = Zero();
      if (seen > j) {
        probability = Exp2(Sub(Load(p + j), lse));
        gradient = Mul(probability, Sub(Load(d_s + j), delta));
        if (seen < j + kLanes) {
          const Mask inside = FirstLanes(int(seen - j));
          probability = Select(inside, probability, Zero());
          gradient = Select(inside, gradient, Zero());
        }
      }
      Store(p + j, probability);
      Store(d_s + j, gradient);
    }
  }
}

// The rows of the block against `tokens` keys of one page, at `slot` in the tree.
inline void PageGradient(const TreeWork& w, const float* page_keys, int64_t slot, int64_t rows,
                         int64_t tokens, int64_t first_seen, bool accumulate) {
  const int64_t vecs = (tokens + kLanes - 1) / kLanes, columns = w.width / kLanes;
  TileArgs scores{.rows = rows,
                  .vecs = vecs,
                  .steps = w.dim,
                  .a = w.q_columns,
                  .a_row = 1,
                  .a_step = rows,
                  .b = page_keys,
                  .b_vec = w.dim * kLanes,
                  .b_step = kLanes,
                  .c = w.p,
                  .c_row = kPage,
                  .c_vec = kLanes,
                  .accumulate = false};
  TileF32(scores);
  scores.a = w.d_out_columns;
  scores.b = w.values + slot * w.dim;
  scores.c = w.d_s;
  TileF32(scores);
  ScoreGradient(w, rows, vecs, first_seen, tokens);

  // Sums over the rows: A is P or dS read by columns.
  TileArgs by_key{.rows = tokens,
                  .vecs = columns,
                  .steps = rows,
                  .a = w.p,
                  .a_row = 1,
                  .a_step = kPage,
                  .b = w.d_out,
                  .b_vec = kLanes,
                  .b_step = w.width,
                  .c = w.d_values + slot * w.width,
                  .c_row = w.width,
                  .c_vec = kLanes,
                  .accumulate = true};
  TileF32(by_key);
  by_key.a = w.d_s;
  by_key.b = w.q;
  by_key.c = w.d_keys + slot * w.width;
  TileF32(by_key);
  TileF32({.rows = rows,
           .vecs = columns,
           .steps = tokens,
           .a = w.d_s,
           .a_row = kPage,
           .a_step = 1,
           .b = w.keys + slot * w.width,
           .b_vec = kLanes,
           .b_step = w.width,
           .c = w.d_q,
           .c_row = w.width,
           .c_vec = kLanes,
           .accumulate = accumulate});
}

// out[row, head] = scale * from[0 .. dim).
inline void StoreHead(const Tensor& out, int64_t row, int64_t head, int64_t dim, float scale,
                      const float* from) {
  float* to = out.f32() + row * out.stride + head * dim;
  const Vec factor = Set1(scale);
  int64_t k = 0;
  for (; k + kLanes <= dim; k += kLanes) Store(to + k, Mul(Load(from + k), factor));
  if (k < dim) StorePartial(to + k, Mul(Load(from + k), factor), int(dim - k));
}

inline void BlockGradient(const TreeWork& w, const QueryRun& b, int64_t path_length) {
  const AttentionArgs& f = w.args->forward;
  if (f.out.dtype == DType::kF32)
    LoadRows<float>(w, b);
  else
    LoadRows<uint16_t>(w, b);
  const int64_t rows = b.count * w.group;
  bool accumulate = false;
  for (int64_t depth = 0; depth < path_length; ++depth) {
    const AttentionSegment& segment = f.segments[w.path[depth]];
    const bool own = depth == path_length - 1;
    const int64_t visible = own ? b.offset + b.count : segment.length;
    for (int64_t page = 0; page < PageCount(visible); ++page, accumulate = true) {
      const int64_t tokens = PageTokens(visible, page);
      const int64_t first_seen = own ? b.offset + 1 - page * kPage : tokens;
      PageGradient(w, PageKeys(f.kv, segment.pages[page], w.kv_head),
                   w.slot[w.path[depth]] + page * kPage, rows, tokens, first_seen, accumulate);
    }
  }
  for (int64_t r = 0; r < rows; ++r)
    StoreHead(w.args->d_q, b.row + r / w.group, w.kv_head * w.group + r % w.group, w.dim, f.scale,
              w.d_q + r * w.width);
}

// Cuts the worker's scratch memory into the arrays of `w`.
inline void ReserveTree(TreeWork* w, int64_t path_length, Worker& worker) {
  const int64_t rows = w->block * w->group;
  const int64_t floats = 4 * w->slots * w->width + rows * (5 * w->width + 2 * kPage + 2);
  auto* next = static_cast<float*>(worker.Scratch(size_t(floats + path_length) * 4));
  const auto take = [&next](int64_t n) {
    float* taken = next;
    next += n;
    return taken;
  };
  w->keys = take(w->slots * w->width);
  w->d_keys = take(w->slots * w->width);
  w->d_values = take(w->slots * w->width);
  w->values = take(w->slots * w->width);
  w->q = take(rows * w->width);
  w->d_out = take(rows * w->width);
  w->d_q = take(rows * w->width);
  w->q_columns = take(rows * w->width);
  w->d_out_columns = take(rows * w->width);
  w->p = take(rows * kPage);
  w->d_s = take(rows * kPage);
  w->lse = take(rows);
  w->delta = take(rows);
  w->path = reinterpret_cast<int32_t*>(take(path_length));
}

inline void TreeGradient(TreeWork w, int64_t slots, Worker& worker) {
  const AttentionArgs& f = w.args->forward;
  int64_t longest_path = 0;
  for (int64_t m = 0; m < w.member_count; ++m) {
    const int64_t length = PathLength(f.segments, w.members[m]);
    if (length > longest_path) longest_path = length;
  }
  w.slots = slots;
  ReserveTree(&w, longest_path, worker);
  LoadTree(w);
  for (int64_t m = 0; m < w.member_count; ++m) {
    const int32_t s = w.members[m];
    const AttentionSegment& segment = f.segments[s];
    const int64_t path_length = PathLength(f.segments, s);
    FillPath(f.segments, s, path_length, w.path);
    for (int64_t offset = 0; offset < segment.length; offset += w.block) {
      const int64_t left = segment.length - offset;
      const int64_t tokens = left < w.block ? left : w.block;
      BlockGradient(w, {s, int32_t(offset), int32_t(tokens), segment.row + offset}, path_length);
    }
  }
  for (int64_t m = 0; m < w.member_count; ++m) {
    const AttentionSegment& segment = f.segments[w.members[m]];
    for (int64_t t = 0; t < segment.length; ++t) {
      const int64_t slot = w.slot[w.members[m]] + t;
      StoreHead(w.args->d_k, segment.row + t, w.kv_head, w.dim, kLn2, w.d_keys + slot * w.width);
      StoreHead(w.args->d_v, segment.row + t, w.kv_head, w.dim, 1, w.d_values + slot * w.width);
    }
  }
}

// Rows of a block are what the sums for dK and dV run over in one sweep.
inline int64_t GradientTokens(int64_t group) {
  constexpr int64_t kRows = 48;
  const int64_t tokens = kRows / group;
  return tokens >= kLanes ? tokens / kLanes * kLanes : tokens > 0 ? tokens : 1;
}

void AttentionBackward(void* device, const AttentionBackwardArgs& args) {
  const AttentionArgs& f = args.forward;
  const int64_t count = f.segment_count;
  // slot of each segment and of each tree's end, then what FindTrees needs
  CallMemory memory(size_t(count) * 16 + size_t(3 * count + 1) * 4);
  auto* slot = static_cast<int64_t*>(memory.data());
  int64_t* slots = slot + count;
  const Trees trees = FindTrees(f.segments, count, reinterpret_cast<int32_t*>(slots + count));
  for (int64_t t = 0; t < trees.count; ++t) {
    slots[t] = 0;
    for (int32_t m = trees.first[t]; m < trees.first[t + 1]; ++m) {
      slot[trees.members[m]] = slots[t];
      slots[t] += RoundUp(f.segments[trees.members[m]].length, kLanes);
    }
  }
  const int64_t kv_heads = f.kv.kv_heads, group = f.heads / kv_heads;
  ParallelFor(device, trees.count * kv_heads, [&](int64_t task, Worker& worker) {
    const int64_t tree = task / kv_heads;
    TreeWork w{};
    w.args = &args;
    w.members = trees.members + trees.first[tree];
    w.member_count = trees.first[tree + 1] - trees.first[tree];
    w.kv_head = task % kv_heads;
    w.group = group;
    w.dim = f.kv.head_dim;
    w.width = RoundUp(w.dim, kLanes);
    w.block = GradientTokens(group);
    w.slot = slot;
    TreeGradient(w, slots[tree], worker);
  });
}

}  // namespace
}  // namespace alignlab
