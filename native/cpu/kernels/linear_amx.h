// The three products of a linear layer for bf16 on the tile unit: which tiles of A and B meet, from
// which memory. The forms of LinearTask, InputGradTask and WeightGrad that replace the general
// ones.
#pragma once

#include "cpu/kernels/amx.h"
#include "cpu/kernels/linear_grad.h"

namespace alignlab {
namespace {

// A's share of the second cache: rows of a block are as many as fit.
constexpr int64_t kAmxRoom = 160 * 1024, kAmxPanelRoom = 96 * 1024;  // floats

inline int64_t AmxBlockRows(int64_t depth) {
  const int64_t rows = kAmxRoom / (depth * kAmxTile) * kAmxRows;
  return Most(kAmxCallRows, Least(rows, 512));
}

template <>
struct LinearTask<uint16_t> {
  const LinearArgs& args;
  int64_t in = args.weight.in, out = args.weight.out;
  int64_t steps = CeilDiv(in, 2), depth = CeilDiv(in, kAmxDepth), whole = steps / kAmxSteps;
  Split rows, panels;

  LinearTask(void* device, const LinearArgs& a)
      : args(a),
        rows(SplitRows(device, a.x.rows, AmxBlockRows(CeilDiv(a.weight.in, kAmxDepth)))),
        panels(SplitPanels(device, CeilDiv(out, kPanel), rows.count, 1 << 20, 1)) {}

  int64_t Tasks() const { return rows.count * panels.count; }

  struct Block {
    int64_t row0, rows, panel0, panels;
    float* a;
  };
  Block BlockOf(int64_t row0, int64_t rows, int64_t panel0, int64_t panels, float* memory) const {
    return {row0, rows, panel0, panels, memory};
  }

  // Panels that stay in the second cache while all rows of a block pass over them.
  static int64_t Resident(int64_t in) {
    return Most(4, kAmxPanelRoom / (CeilDiv(in, kAmxDepth) * kAmxTile) / 4 * 4);
  }
  static int64_t AFloats(int64_t in, int64_t rows) {
    return CeilDiv(rows, kAmxRows) * CeilDiv(in, kAmxDepth) * kAmxTile;
  }
  // Behind the rows: the panels' last tiles of k where k ends inside of one.
  static int64_t Floats(int64_t in, int64_t rows, int64_t /*panels*/) {
    return AFloats(in, rows) + Resident(in) * kAmxTile;
  }

  void Run(int64_t index, Worker& worker) const { RunBlockOf(*this, index, worker); }

  void RunBlock(const Block& block, bool packed) const {
    if (!packed)
      PackAmxRows(static_cast<const uint16_t*>(args.x.data) + block.row0 * args.x.stride,
                  args.x.stride, block.rows, in, block.a);
    const TileUnit unit;
    const int64_t resident = Resident(in);
    for (int64_t j = 0; j < block.panels; j += resident) {
      const int64_t count = Least(resident, block.panels - j);
      if (whole < depth) PackTails(block, block.panel0 + j, count);
      for (int64_t r = 0; r < block.rows; r += kAmxCallRows)
        RunRows(block, r, block.panel0 + j, count);
    }
  }

  float* Tails(const Block& block) const { return block.a + AFloats(in, block.rows); }

  void PackTails(const Block& block, int64_t panel, int64_t count) const {
    const int64_t there = (steps - whole * kAmxSteps) * kPanel;
    const float* from =
        static_cast<const float*>(args.weight.data) + (panel * steps + whole * kAmxSteps) * kPanel;
    float* to = Tails(block);
    for (int64_t j = 0; j < count; ++j, from += steps * kPanel, to += kAmxTile) {
      std::memcpy(to, from, size_t(there) * 4);
      std::memset(to + there, 0, size_t(kAmxTile - there) * 4);
    }
  }

  // Up to 32 rows from row r of the block on, against `count` panels.
  void RunRows(const Block& block, int64_t r, int64_t panel0, int64_t count) const {
    const bool bf16 = args.y.dtype == DType::kBF16;
    const bool finish = bf16 || args.bias || args.accumulate;
    const int64_t rows_left = Least(block.rows - r, kAmxCallRows);
    const float* a = block.a + r / kAmxRows * depth * kAmxTile;
    int vecs = 0;
    for (int64_t j = 0; j < count; j += vecs) {
      vecs = NextAmxVecs(rows_left, count - j);
      const int64_t col = (panel0 + j) * kPanel;
      char* y = static_cast<char*>(args.y.data) +
                ((block.row0 + r) * args.y.stride + col) * (bf16 ? 2 : 4);
      const Epilogue epilogue{args.bias ? args.bias + col : nullptr, y, args.y.stride, bf16,
                              args.accumulate};
      const float* weight = static_cast<const float*>(args.weight.data) + col * steps;
      RunAmx({a, depth * kAmxTile, weight, steps * kPanel, whole,
              whole < depth ? Tails(block) + j * kAmxTile : nullptr, reinterpret_cast<float*>(y),
              args.y.stride, kPanel, false, finish ? &epilogue : nullptr},
             int(rows_left), vecs, int(Least(kPanel, out - col - (vecs - 1) * kPanel)));
    }
  }
};

template <>
struct InputGradTask<uint16_t> {
  static constexpr int64_t kVecs = 32, kResident = 8192;

  const LinearInputGradArgs& args;
  int64_t in = args.weight.in, out = args.weight.out;
  InputGradBlocks blocks;
  Split k;

  InputGradTask(void* device, const LinearInputGradArgs& a)
      : args(a),
        blocks(device, a, kVecs),
        k(RoundUp(out, kAmxDepth), kResident / blocks.vecs.piece * 2, kAmxDepth) {}

  int64_t Tasks() const { return blocks.count(); }

  void Run(int64_t index, Worker& worker) const {
    const auto [row0, m, vec0, n] = blocks.At(index);
    const int64_t depth = k.piece / kAmxDepth;
    float* b = static_cast<float*>(
        worker.Scratch(size_t((n + kAmxCallRows / kAmxRows) * depth * kAmxTile) * 4));
    const TileUnit unit;
    for (int64_t kb = 0; kb < k.count; ++kb) {
      PackB(vec0, n, kb, b);
      for (int64_t r = 0; r < m; r += kAmxCallRows)
        RunRows(row0 + r, Least(m - r, kAmxCallRows), vec0, n, kb, b + n * depth * kAmxTile, b);
    }
  }

  // W transposed: a panel of 16 inputs is one vector of B over the outputs.
  void PackB(int64_t vec0, int64_t n, int64_t kb, float* b) const {
    const int64_t first = k.First(kb) / kPanel, panels = k.Size(kb) / kPanel;
    const int64_t half = kAmxTile / 2, there = CeilDiv(out, kPanel);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < panels; ++p) {
        float* to = b + (j * panels + p) * half;
        if (first + p >= there) {  // an odd number of panels: half a tile is missing
          std::memset(to, 0, size_t(half) * 4);
          continue;
        }
        const int64_t i0 = (vec0 + j) * kPanel;
        const auto* weight = static_cast<const uint16_t*>(args.weight.data);
        PackWeightBlock(weight + (first + p) * kPanel * RoundUp(in, 2) + i0 * kPanel,
                        int(Least(in - i0, kPanel)), to);
      }
  }

  void RunRows(int64_t row, int64_t count, int64_t vec0, int64_t n, int64_t kb, float* a,
               const float* b) const {
    const int64_t depth = k.Size(kb) / kAmxDepth;
    const auto* d_y = static_cast<const uint16_t*>(args.d_y.data);
    PackAmxRows(d_y + row * args.d_y.stride + k.First(kb), args.d_y.stride, count,
                Least(out - k.First(kb), k.Size(kb)), a);
    int step = 0;
    for (int64_t j = 0; j < n; j += step) {
      step = NextAmxVecs(count, n - j);
      const int64_t col = (vec0 + j) * kPanel;
      RunAmx({a, depth * kAmxTile, b + j * depth * kAmxTile, depth * kAmxTile, depth, nullptr,
              args.d_x.f32() + row * args.d_x.stride + col, args.d_x.stride, kPanel,
              args.accumulate || kb > 0, nullptr},
             int(count), step, int(Least(kPanel, in - col - (step - 1) * kPanel)));
    }
  }
};

// d_w += d_y^T x: rows of C are inputs. Both operands are brought into tiles once for all tasks,
// for so many tokens at a time.
struct AmxWeightGrad {
  static constexpr int64_t kTokens = 1024, kPanels = 128;
  static constexpr int64_t kChunk = 8;  // tiles a task, in both directions

  void* device;
  const LinearWeightGradArgs& args;
  int64_t in = args.d_weight.in, out = args.d_weight.out;
  int64_t row_tiles = CeilDiv(in, kAmxRows), panels = CeilDiv(out, kPanel);
  int64_t room = CeilDiv(Least(args.x.rows, kTokens), kAmxDepth) * kAmxTile;  // of a row of tiles

  void Run() const {
    const SharedMemory memory(size_t((row_tiles + Least(panels, kPanels)) * room) * 4);
    for (int64_t t = 0; t < args.x.rows; t += kTokens)
      for (int64_t p = 0; p < panels; p += kPanels)
        RunBlock(t, Least(kTokens, args.x.rows - t), p, Least(kPanels, panels - p), memory.f32());
  }

  // `count` tokens from t on, for the gradients of `width` panels from p on.
  void RunBlock(int64_t t, int64_t count, int64_t p, int64_t width, float* a) const {
    float* b = a + row_tiles * room;
    const int64_t a_tasks = CeilDiv(row_tiles, kChunk), b_tasks = CeilDiv(width, kChunk);
    const Tensor x = RowRange(args.x, t, count), d_y = RowRange(args.d_y, t, count);
    const int64_t a_once = p == 0 ? a_tasks : 0;  // the other panels find them there
    ParallelFor(device, a_once + b_tasks, [&](int64_t task, Worker&) {
      const int64_t first = (task < a_once ? task : task - a_once) * kChunk;
      if (task < a_once)
        Pack<true>(x, first, Least(row_tiles, first + kChunk), a);
      else
        Pack<false>(d_y, p + first, p + Least(width, first + kChunk), b - p * room);
      if (task >= a_once && args.d_bias) AddBias(d_y, p + first, p + Least(width, first + kChunk));
    });
    const int64_t depth = CeilDiv(count, kAmxDepth);
    ParallelFor(device, a_tasks * b_tasks, [&](int64_t task, Worker&) {
      const int64_t i = task % a_tasks * kChunk, j = task / a_tasks * kChunk;
      Multiply(i, Least(row_tiles, i + kChunk), p + j, p + Least(width, j + kChunk), depth, a,
               b - p * room);
    });
  }

  template <bool kTransposed>
  void Pack(const Tensor& from, int64_t first, int64_t end, float* to) const {
    for (int64_t k = 0; k < from.rows; k += kAmxDepth)
      for (int64_t j = first; j < end; ++j)
        PackAmxTile<kTransposed>(from.bf16() + k * from.stride + j * kPanel, from.stride,
                                 from.rows - k, int(Least(kPanel, from.cols - j * kPanel)),
                                 to + j * room + k / kAmxDepth * kAmxTile);
  }

  void AddBias(const Tensor& d_y, int64_t first, int64_t end) const {
    for (int64_t c = first * kPanel; c < Least(out, end * kPanel); c += kPanel)
      AddColumns(d_y.bf16() + c, d_y.stride, int(Least(out - c, kPanel)), d_y.rows,
                 args.d_bias + c);
  }

  void Multiply(int64_t tile0, int64_t tile_end, int64_t panel0, int64_t panel_end, int64_t depth,
                const float* a, const float* b) const {
    const TileUnit unit;
    for (int64_t j = panel0; j < panel_end; j += 2)
      for (int64_t i = tile0; i < tile_end; i += kAmxCallRows / kAmxRows) {
        const int64_t row = i * kAmxRows;
        RunAmx({a + i * room, room, b + j * room, room, depth, nullptr,
                args.d_weight.f32() + (j * in + row) * kPanel, kPanel, in * kPanel, true, nullptr},
               int(Least(in - row, kAmxCallRows)), int(Least(2, panel_end - j)), int(kPanel));
      }
  }
};

template <>
inline void WeightGrad<uint16_t>(void* device, const LinearWeightGradArgs& args) {
  AmxWeightGrad{device, args}.Run();
}

}  // namespace
}  // namespace alignlab
