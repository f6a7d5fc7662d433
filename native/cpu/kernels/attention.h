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

// Query rows (token, head of the group) against all positions of the path. Tokens are successive
// ones of one run, or one of each of several runs (samples of one prompt) whose ancestors are the
// same, which are then read once for all.
struct ScoreBlock {
  const QueryRun* runs;
  int64_t run_count;
  int64_t kv_head, group, tokens, rows;
  int64_t dim, width;     // head dimension, and rounded up to whole vectors
  int64_t total, stride;  // positions that the longest row sees; floats from a row to the next
  const int32_t* path;    // of the runs' ancestors, root first
  int64_t path_length;
  float* q;       // (dim, rows), times scale log2 e
  float* scores;  // (rows, stride)
  float* out;     // (rows, width)
  float* tail;    // (kPage, 16): the columns of a page's values past the last whole vector
  float* max;     // (rows)
  float* sum;     // (rows)
};

// The run and the place in it of a block's token.
inline const QueryRun& RunOf(const ScoreBlock& b, int64_t token) {
  return b.runs[b.run_count > 1 ? token : 0];
}
inline int64_t PlaceOf(const ScoreBlock& b, int64_t token) { return b.run_count > 1 ? 0 : token; }

// visit(segment, visible tokens, first row, rows): the parts of the score matrix in path order,
// all rows against each ancestor and then the rows of each run against its own segment.
template <class F>
void ForEachPart(const AttentionArgs& args, const ScoreBlock& b, const F& visit) {
  for (int64_t depth = 0; depth < b.path_length; ++depth) {
    const AttentionSegment& segment = args.segments[b.path[depth]];
    visit(segment, segment.length, int64_t(0), b.rows);
  }
  for (int64_t i = 0, row = 0; i < b.run_count; ++i) {
    const QueryRun& run = b.runs[i];
    visit(args.segments[run.segment], int64_t(run.offset) + run.count, row, run.count * b.group);
    row += run.count * b.group;
  }
}

// A page's last panel may spill up to 15 lanes of unused slots past the segment's end. The next
// segment, or SoftmaxRow, overwrites them.
inline void ScoreRows(const AttentionArgs& args, const ScoreBlock& b) {
  ForEachPart(args, b,
              [&](const AttentionSegment& segment, int64_t visible, int64_t row, int64_t rows) {
                for (int64_t page = 0; page < PageCount(visible); ++page) {
                  TileF32({.rows = rows,
                           .vecs = (PageTokens(visible, page) + kLanes - 1) / kLanes,
                           .steps = b.dim,
                           .a = b.q + row,
                           .a_row = 1,
                           .a_step = b.rows,
                           .b = PageKeys(args.kv, segment.pages[page], b.kv_head),
                           .b_vec = b.dim * kLanes,
                           .b_step = kLanes,
                           .c = b.scores + row * b.stride + segment.position + page * kPage,
                           .c_row = b.stride,
                           .c_vec = kLanes,
                           .accumulate = false});
                }
              });
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
  for (int64_t r = 0; r < b.rows; ++r) {
    const int64_t token = r / b.group;
    const QueryRun& run = RunOf(b, token);
    const int64_t seen = args.segments[run.segment].position + run.offset + PlaceOf(b, token) + 1;
    SoftmaxRow(b.scores + r * b.stride, seen, b.total, &b.max[r], &b.sum[r]);
  }
}

// out (rows, width) = probabilities (rows, positions) values (positions, dim), page by page. The
// last page of the allocation has nothing behind it, hence the copy of the ragged columns.
inline void MixValues(const AttentionArgs& args, const ScoreBlock& b) {
  const int64_t vecs = b.dim / kLanes;
  const int rest = int(b.dim % kLanes);
  std::memset(b.out, 0, size_t(b.rows * b.width) * 4);
  ForEachPart(
      args, b, [&](const AttentionSegment& segment, int64_t visible, int64_t row, int64_t rows) {
        for (int64_t page = 0; page < PageCount(visible); ++page) {
          const float* values = PageValues(args.kv, segment.pages[page], b.kv_head);
          float* out = b.out + row * b.width;
          TileArgs tile{.rows = rows,
                        .vecs = vecs,
                        .steps = PageTokens(visible, page),
                        .a = b.scores + row * b.stride + segment.position + page * kPage,
                        .a_row = rows == 1 ? 1 : b.stride,
                        .a_step = 1,
                        .b = values,
                        .b_vec = kLanes,
                        .b_step = b.dim,
                        .c = out,
                        .c_row = b.width,
                        .c_vec = kLanes,
                        .accumulate = true};
          if (vecs) TileF32(tile);
          if (!rest) continue;
          for (int64_t t = 0; t < tile.steps; ++t)
            Store(b.tail + t * kLanes, LoadPartial(values + t * b.dim + vecs * kLanes, rest));
          tile.vecs = 1;
          tile.b = b.tail;
          tile.b_step = kLanes;
          tile.c = out + vecs * kLanes;
          TileF32(tile);
        }
      });
}

template <class T>
void WriteRows(const AttentionArgs& args, const ScoreBlock& b) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const int64_t token = r / b.group, head = b.kv_head * b.group + r % b.group;
    const int64_t row = RunOf(b, token).row + PlaceOf(b, token);
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

inline void AttendBlock(const AttentionArgs& args, ScoreBlock b, Worker& worker) {
  const int32_t parent = args.segments[b.runs->segment].parent;
  b.group = args.heads / args.kv.kv_heads;
  b.dim = args.kv.head_dim;
  b.width = RoundUp(b.dim, kLanes);
  for (int64_t i = 0; i < b.run_count; ++i) {
    const QueryRun& run = b.runs[i];
    const int64_t end = args.segments[run.segment].position + run.offset + run.count;
    if (end > b.total) b.total = end;
    b.tokens += run.count;
  }
  b.rows = b.tokens * b.group;
  b.stride = RoundUp(b.total, kLanes) + kLanes;
  b.path_length = PathLength(args.segments, parent);
  const int64_t floats = b.rows * (b.stride + 2 * b.width + 2) + kPage * kLanes;
  b.scores = static_cast<float*>(worker.Scratch(size_t(floats + b.path_length) * 4));
  b.out = b.scores + b.rows * b.stride;
  b.tail = b.out + b.rows * b.width;
  b.q = b.tail + kPage * kLanes;
  b.max = b.q + b.rows * b.width;
  b.sum = b.max + b.rows;
  auto* path = reinterpret_cast<int32_t*>(b.sum + b.rows);
  FillPath(args.segments, parent, b.path_length, path);
  b.path = path;

  float* packed = b.out;
  for (int64_t i = 0; i < b.run_count; packed += b.runs[i].count * b.group * b.width, ++i)
    PackHeads(args.q, b.runs[i].row, b.runs[i].count, b.kv_head, b.group, b.dim,
              args.scale * kLog2E, b.width, packed);
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

// How many runs from the first on decode one token each behind the same parent: at most `tokens`.
inline int64_t Siblings(const AttentionArgs& args, int64_t first, int64_t tokens) {
  const int32_t parent = args.segments[args.runs[first].segment].parent;
  int64_t n = 0;
  while (n < tokens && first + n < args.run_count && args.runs[first + n].count == 1 &&
         args.segments[args.runs[first + n].segment].parent == parent)
    ++n;
  return parent >= 0 && n > 1 ? n : 1;
}

// `runs` runs from `first` on, with a token each, or the part of one that is alone.
struct BlockPlace {
  int64_t first, runs, begin, count;
};

// Cuts the runs into blocks of `tokens` at most; returns how many. Stores them unless null.
inline int64_t CutBlocks(const AttentionArgs& args, int64_t tokens, BlockPlace* out) {
  int64_t blocks = 0;
  for (int64_t r = 0, n = 0; r < args.run_count; r += n) {
    n = Siblings(args, r, tokens);
    const int64_t count = args.runs[r].count;
    for (int64_t begin = 0; begin < count; begin += tokens, ++blocks)
      if (out) out[blocks] = {r, n, begin, count - begin < tokens ? count - begin : tokens};
  }
  return blocks;
}

void Attention(void* device, const AttentionArgs& args) {
  int64_t longest = 0, queries = 0;
  for (int64_t i = 0; i < args.run_count; ++i) {
    const QueryRun& run = args.runs[i];
    const int64_t end = args.segments[run.segment].position + run.offset + run.count;
    if (end > longest) longest = end;
    queries += run.count;
  }
  // No block so large that threads stay idle: where blocks are cut shows in no bit.
  const int64_t kv_heads = args.kv.kv_heads;
  const int64_t share = queries * kv_heads / (4 * static_cast<Pool*>(device)->threads()) + 1;
  int64_t tokens = QueryTokens(args.heads / kv_heads, longest);
  if (tokens > share) tokens = share;
  const int64_t blocks = CutBlocks(args, tokens, nullptr);
  CallMemory memory(size_t(blocks) * sizeof(BlockPlace));
  auto* places = static_cast<BlockPlace*>(memory.data());
  CutBlocks(args, tokens, places);
  ParallelFor(device, blocks * kv_heads, [&](int64_t task, Worker& worker) {
    const BlockPlace& place = places[task / kv_heads];
    QueryRun run = args.runs[place.first];
    run.offset += int32_t(place.begin);
    run.row += place.begin;
    run.count = int32_t(place.count);
    ScoreBlock block{};
    block.runs = place.runs > 1 ? args.runs + place.first : &run;
    block.run_count = place.runs;
    block.kv_head = task % kv_heads;
    AttendBlock(args, block, worker);
  });
}

}  // namespace
}  // namespace alignlab
