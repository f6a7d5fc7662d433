// Causal attention over the paths of a forest, in f32. The scores of a query row stand in one
// array by position along the path, so that maximum, sum and the product with the values run over
// positions in one order that knows nothing of segments, pages or the other rows of the block:
//   scores: one accumulator per (row, key), over k ascending
//   sum:    lane j takes positions j, j + 16, j + 32, ..., then the tree of ReduceAdd
//   values: one accumulator per (row, column), over positions ascending
// Positions past a row's end hold an exact 0 when the values are multiplied, a no-op in each sum.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/attention_path.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/tile.h"
#include "cpu/kernels/transpose.h"

namespace alignlab {
namespace {

// Query rows (token, head of the group) against all positions of the path.
struct ScoreBlock {
  QueryBlock query;
  int64_t kv_head, group, rows;
  int64_t dim, width;     // head dimension, and rounded up to whole vectors
  int64_t total, stride;  // positions that the last row sees; floats from a row to the next
  const int32_t* path;
  int64_t path_length;
  float* q;        // (dim, rows), times scale log2 e
  float* scores;   // (rows, stride)
  float* out;      // (rows, width)
  float* tail;     // (kPage, 16): the columns of a page's values past the last whole vector
  float* max;      // (rows)
  float* sum;      // (rows)
};

inline int64_t VisibleTokens(const AttentionArgs& args, const ScoreBlock& b, int64_t depth) {
  return depth == b.path_length - 1 ? b.query.offset + b.query.count
                                    : args.segments[b.path[depth]].length;
}

// A page's last panel may spill up to 15 lanes of unused slots past the segment's end. The next
// segment, or SoftmaxRows, overwrites them.
inline void ScoreRows(const AttentionArgs& args, const ScoreBlock& b) {
  for (int64_t depth = 0; depth < b.path_length; ++depth) {
    const AttentionSegment& segment = args.segments[b.path[depth]];
    const int64_t visible = VisibleTokens(args, b, depth);
    for (int64_t page = 0; page < PageCount(visible); ++page) {
      const int64_t tokens = PageTokens(visible, page);
      TileF32({.rows = b.rows,
               .vecs = (tokens + kLanes - 1) / kLanes,
               .steps = b.dim,
               .a = b.q,
               .a_row = 1,
               .a_step = b.rows,
               .b = PageKeys(args.kv, segment.pages[page], b.kv_head),
               .b_vec = b.dim * kLanes,
               .b_step = kLanes,
               .c = b.scores + segment.position + page * kPage,
               .c_row = b.stride,
               .c_vec = kLanes,
               .accumulate = false});
    }
  }
}

// Turns a row of n scores into 2^(score - max), zeros up to `end`.
inline void SoftmaxRow(float* s, int64_t n, int64_t end, float* max, float* sum) {
  const int64_t whole = n / kLanes * kLanes;
  const int rest = int(n - whole);
  Vec top = Set1(-INFINITY);
  for (int64_t j = 0; j < whole; j += kLanes) top = Max(top, Load(s + j));
  const Mask inside = FirstLanes(rest);
  if (rest) top = Max(top, Select(inside, Load(s + whole), Set1(-INFINITY)));
  *max = ReduceMax(top);
  top = Set1(*max);
  Vec total = Zero();
  for (int64_t j = 0; j < whole; j += kLanes) {
    const Vec e = Exp2(Sub(Load(s + j), top));
    Store(s + j, e);
    total = Add(total, e);
  }
  int64_t next = whole;
  if (rest) {
    const Vec e = Select(inside, Exp2(Sub(Load(s + whole), top)), Zero());
    Store(s + whole, e);
    total = Add(total, e);
    next += kLanes;
  }
  for (; next < end; next += kLanes) Store(s + next, Zero());
  *sum = ReduceAdd(total);
}

inline void SoftmaxRows(const AttentionArgs& args, const ScoreBlock& b) {
  const int64_t first = args.segments[b.query.segment].position + b.query.offset;
  for (int64_t r = 0; r < b.rows; ++r)
    SoftmaxRow(b.scores + r * b.stride, first + r / b.group + 1, b.total, &b.max[r], &b.sum[r]);
}

// out (rows, width) = probabilities (rows, positions) values (positions, dim), page by page. The
// last page of the allocation has nothing behind it, hence the copy of the ragged columns.
inline void MixValues(const AttentionArgs& args, const ScoreBlock& b) {
  const int64_t vecs = b.dim / kLanes;
  const int rest = int(b.dim % kLanes);
  bool accumulate = false;
  for (int64_t depth = 0; depth < b.path_length; ++depth) {
    const AttentionSegment& segment = args.segments[b.path[depth]];
    const int64_t visible = VisibleTokens(args, b, depth);
    for (int64_t page = 0; page < PageCount(visible); ++page, accumulate = true) {
      const float* values = PageValues(args.kv, segment.pages[page], b.kv_head);
      TileArgs tile{.rows = b.rows,
                    .vecs = vecs,
                    .steps = PageTokens(visible, page),
                    .a = b.scores + segment.position + page * kPage,
                    .a_row = b.rows == 1 ? 1 : b.stride,
                    .a_step = 1,
                    .b = values,
                    .b_vec = kLanes,
                    .b_step = b.dim,
                    .c = b.out,
                    .c_row = b.width,
                    .c_vec = kLanes,
                    .accumulate = accumulate};
      if (vecs) TileF32(tile);
      if (!rest) continue;
      for (int64_t t = 0; t < tile.steps; ++t)
        Store(b.tail + t * kLanes, LoadPartial(values + t * b.dim + vecs * kLanes, rest));
      tile.vecs = 1;
      tile.b = b.tail;
      tile.b_step = kLanes;
      tile.c = b.out + vecs * kLanes;
      TileF32(tile);
    }
  }
}

template <class T>
void WriteRows(const AttentionArgs& args, const ScoreBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const int64_t row = b.query.row + r / b.group, head = b.kv_head * b.group + r % b.group;
    const Vec inverse = Set1(1.0f / b.sum[r]);
    T* out = static_cast<T*>(args.out.data) + row * args.out.stride + head * b.dim;
    // + 0 turns -0 into 0: the one trace that a no-op could leave.
    for (int64_t k = 0; k < b.dim; k += kLanes) {
      const Vec y = Add(Mul(Load(b.out + r * b.width + k), inverse), Zero());
      if (k + kLanes <= b.dim)
        StoreAs(out + k, y);
      else
        StorePartialAs(out + k, y, int(b.dim - k));
    }
    if (args.lse) args.lse[row * args.heads + head] = b.max[r] * kLn2 + __builtin_logf(b.sum[r]);
  }
}

inline void AttendBlock(const AttentionArgs& args, const QueryBlock& query, int64_t kv_head,
                        Worker& worker) {
  ScoreBlock b{};
  b.query = query;
  b.kv_head = kv_head;
  b.group = args.heads / args.kv.kv_heads;
  b.rows = query.count * b.group;
  b.dim = args.kv.head_dim;
  b.width = RoundUp(b.dim, kLanes);
  b.total = args.segments[query.segment].position + query.offset + query.count;
  b.stride = RoundUp(b.total, kLanes) + kLanes;
  b.path_length = PathLength(args.segments, query.segment);
  const int64_t floats = b.rows * (b.stride + 2 * b.width + 2) + kPage * kLanes;
  auto* memory =
      static_cast<float*>(worker.Scratch(size_t(floats * 4 + b.path_length * 4)));
  b.scores = memory;
  b.out = b.scores + b.rows * b.stride;
  b.tail = b.out + b.rows * b.width;
  b.q = b.tail + kPage * kLanes;
  b.max = b.q + b.rows * b.width;
  b.sum = b.max + b.rows;
  auto* path = reinterpret_cast<int32_t*>(b.sum + b.rows);
  FillPath(args.segments, query.segment, b.path_length, path);
  b.path = path;

  PackHeads(args.q, query.row, query.count, kv_head, b.group, b.dim, args.scale * kLog2E,
            b.width, b.out);
  Transpose(b.out, b.width, b.rows, b.dim, b.q, b.rows);
  ScoreRows(args, b);
  SoftmaxRows(args, b);
  MixValues(args, b);
  if (args.out.dtype == DType::kF32)
    WriteRows<float>(args, b);
  else
    WriteRows<uint16_t>(args, b);
}

// Few enough that the scores stay in the second-level cache and that the part of a block above
// the diagonal is small; enough to use a page's keys several times.
inline int64_t QueryTokens(int64_t group, int64_t longest) {
  constexpr int64_t kRows = 32, kScores = 128 * 1024;
  int64_t rows = kScores / (longest + 1);
  if (rows > kRows) rows = kRows;
  return rows > group ? rows / group : 1;
}

void Attention(void* device, const AttentionArgs& args) {
  int64_t longest = 0, blocks = 0;
  for (int64_t i = 0; i < args.run_count; ++i) {
    const QueryRun& run = args.runs[i];
    const int64_t end = args.segments[run.segment].position + run.offset + run.count;
    if (end > longest) longest = end;
  }
  const int64_t kv_heads = args.kv.kv_heads;
  const int64_t tokens = QueryTokens(args.heads / kv_heads, longest);
  for (int64_t i = 0; i < args.run_count; ++i)
    blocks += (args.runs[i].count + tokens - 1) / tokens;
  ParallelFor(device, blocks * kv_heads, [&](int64_t task, Worker& worker) {
    AttendBlock(args, FindBlock(args.runs, tokens, task / kv_heads), task % kv_heads, worker);
  });
}

}  // namespace
}  // namespace alignlab
