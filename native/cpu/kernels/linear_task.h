// How the products of a linear layer are cut, and the forward one. Work is cut into blocks of C:
// rows by panels; a task packs its A (and what it needs of B) into scratch of about half a second
// cache (1 MB) and runs the tiles of its block. Nothing here changes a sum: k ascends everywhere.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/tile.h"

namespace alignlab {
namespace {

constexpr int64_t kPanel = kLanes;

inline int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t Most(int64_t a, int64_t b) { return a > b ? a : b; }

// A range cut into `count` pieces of `piece` (the last one may be shorter).
struct Split {
  int64_t total, piece, count;
  // Pieces of at most `limit`, all about equal, each a multiple of `unit`.
  Split(int64_t n, int64_t limit, int64_t unit) : total(n) {
    const int64_t pieces = Most(1, CeilDiv(n, Most(limit, unit)));
    piece = Most(unit, RoundUp(CeilDiv(n, pieces), unit));
    count = Most(1, CeilDiv(n, piece));
  }
  int64_t First(int64_t i) const { return i * piece; }
  int64_t Size(int64_t i) const { return Least(piece, total - i * piece); }
};

// Rows of C in blocks of at most `limit`, a multiple of the threads of them where there are many.
inline Split SplitRows(void* device, int64_t rows, int64_t limit) {
  const int64_t threads = static_cast<Pool*>(device)->threads(), blocks = CeilDiv(rows, limit);
  return Split(rows, blocks < threads ? limit : CeilDiv(rows, RoundUp(blocks, threads)), 1);
}

// Columns of C: at most `limit` panels a block, and small enough that there are about `per_thread`
// tasks a thread, but never below four panels.
inline Split SplitPanels(void* device, int64_t panels, int64_t row_blocks, int64_t limit,
                         int64_t per_thread) {
  const int64_t wanted = per_thread * static_cast<Pool*>(device)->threads();
  const int64_t pieces = Most(1, CeilDiv(wanted, row_blocks));
  return Split(panels, Least(limit, Most(kWideVecs, CeilDiv(panels, pieces))), 2);
}

template <class T>
struct KernelOf;
template <>
struct KernelOf<float> {
  using Type = F32Kernel;
  static constexpr int kPerStep = 1;  // k in a step
};
template <>
struct KernelOf<uint16_t> {
  using Type = Bf16Kernel;
  static constexpr int kPerStep = 2;
};

// One block of a forward product's task, in memory of this thread.
template <class Task>
inline void RunBlockOf(const Task& task, int64_t index, Worker& worker) {
  const int64_t i = index / task.panels.count, j = index % task.panels.count;
  const int64_t rows = task.rows.Size(i), panels = task.panels.Size(j);
  void* memory = worker.Scratch(size_t(Task::Floats(task.in, rows, panels)) * 4);
  task.RunBlock(task.BlockOf(task.rows.First(i), rows, task.panels.First(j), panels,
                             static_cast<float*>(memory)),
                false);
}

template <class T>
struct LinearTask {
  using Kernel = typename KernelOf<T>::Type;
  static constexpr int kPerStep = KernelOf<T>::kPerStep;
  static constexpr int64_t kRows = 112, kSteps = 1024;
  static constexpr int64_t kResident = 4096;  // steps of one panel: 256 KB of the weight

  const LinearArgs& args;
  int64_t in = args.weight.in, out = args.weight.out;
  int64_t steps = CeilDiv(in, kPerStep), whole_panels = out / kPanel;
  Split k{steps, kSteps, kLanes};
  Split rows, panels;

  LinearTask(void* device, const LinearArgs& a)
      : args(a),
        rows(SplitRows(device, a.x.rows, kRows)),
        panels(
            SplitPanels(device, CeilDiv(out, kPanel), rows.count, k.count > 1 ? 64 : 1 << 20, 4)) {}

  int64_t Tasks() const { return rows.count * panels.count; }

  // A task's share. Sums of the last panel when it is not whole, and of all panels when k comes in
  // several blocks, wait in scratch: row r of waiting panel j is at sums + (j * rows + r) * 16.
  struct Block {
    RowTiles tiles;
    int64_t row0, panel0, panels;
    float *a, *sums;
  };
  // `memory` of Floats(in, rows, panels).
  Block BlockOf(int64_t row0, int64_t rows, int64_t panel0, int64_t panels, float* memory) const {
    return {RowTiles(rows), row0, panel0, panels, memory, memory + PackFloats(in, rows)};
  }

  static int64_t PackFloats(int64_t in, int64_t rows) {
    const Split k(CeilDiv(in, kPerStep), kSteps, kLanes);
    return RoundUp(rows * k.Size(0) * Kernel::kUnits + kPackSlack, kLanes);
  }
  static int64_t Floats(int64_t in, int64_t rows, int64_t panels) {
    const bool several = CeilDiv(in, kPerStep) > kSteps;
    return PackFloats(in, rows) + (several ? panels : 1) * rows * kPanel;
  }

  void Run(int64_t index, Worker& worker) const { RunBlockOf(*this, index, worker); }

  // `packed`: the block's rows of x are in its memory, from an earlier call.
  void RunBlock(const Block& block, bool packed) const {
    for (int64_t kb = 0; kb < k.count; ++kb) {
      if (k.count > 1 || !packed) PackBlock(block, kb);
      RunPanels(block, kb);
    }
    if (block.panel0 + block.panels > whole_panels) StoreLast(block);
  }

  void PackBlock(const Block& block, int64_t kb) const {
    const int64_t k0 = k.First(kb) * kPerStep, n = Least(in - k0, k.Size(kb) * kPerStep);
    for (int64_t i = 0; i < block.tiles.count; ++i) {
      const int64_t first = block.tiles.First(i), stride = args.x.stride;
      PackTile(Kernel{}, static_cast<const T*>(args.x.data) + (block.row0 + first) * stride + k0,
               stride, block.tiles.Height(i), n, block.a + first * k.Size(kb) * Kernel::kUnits);
    }
  }

  // A few panels at a time stay in the second cache while all tiles pass over them; the first
  // tiles bring the next panels in, a line a step.
  void RunPanels(const Block& block, int64_t kb) const {
    const int64_t resident = Most(kWideVecs, kResident / k.Size(kb) / kWideVecs * kWideVecs);
    for (int64_t j0 = 0; j0 < block.panels; j0 += resident)
      for (int64_t i = 0; i < block.tiles.count; ++i) {
        const int64_t end = Least(block.panels, j0 + resident);
        int vecs = 0;
        for (int64_t j = j0; j < end; j += vecs) {
          const int64_t whole = Least(end, whole_panels - block.panel0) - j;
          vecs = whole > 0 ? NextVecs(block.tiles.Height(i), whole) : 1;
          RunTileOf(block, kb, i, j, vecs, j + resident);
        }
      }
  }

  void RunTileOf(const Block& block, int64_t kb, int64_t i, int64_t j, int vecs,
                 int64_t later) const {
    const int height = block.tiles.Height(i);
    const int64_t first = block.tiles.First(i), panel = block.panel0 + j;
    const int64_t c_vec = block.tiles.rows * kPanel, b_vec = steps * kPanel;
    float* c = block.sums + first * kPanel + (k.count > 1 ? j * c_vec : 0);
    const float* weight = static_cast<const float*>(args.weight.data) + k.First(kb) * kPanel;
    const float* b = weight + panel * b_vec;
    const float* ahead = i < vecs ? weight + (block.panel0 + later + i) * b_vec : b;
    const bool bf16 = args.y.dtype == DType::kBF16;
    const int64_t y_at = (block.row0 + first) * args.y.stride + panel * kPanel;
    const Epilogue epilogue{args.bias ? args.bias + panel * kPanel : nullptr,
                            static_cast<char*>(args.y.data) + y_at * (bf16 ? 2 : 4), args.y.stride,
                            bf16, args.accumulate};
    const bool last = kb == k.count - 1 && (panel + vecs) * kPanel <= out;
    ChooseKernel<Kernel>(
        height, vecs)({block.a + first * k.Size(kb) * Kernel::kUnits, height * Kernel::kUnits, b,
                       b_vec, kPanel, k.Size(kb), c, kPanel, c_vec, kb > 0,
                       last ? &epilogue : nullptr, c + vecs * c_vec, ahead});
  }

  // The last panel of an `out` that is no multiple of 16.
  void StoreLast(const Block& block) const {
    const int64_t m = block.tiles.rows, col = whole_panels * kPanel;
    const float* sums = block.sums + (k.count > 1 ? (block.panels - 1) * m * kPanel : 0);
    const int n = int(out - col);
    for (int64_t r = 0; r < m; ++r) {
      Vec v = Load(sums + r * kPanel);
      if (args.bias) v = Add(v, LoadPartial(args.bias + col, n));
      const int64_t at = (block.row0 + r) * args.y.stride + col;
      if (args.y.dtype == DType::kBF16) {
        StorePartialAs(args.y.bf16() + at, v, n);
        continue;
      }
      if (args.accumulate) v = Add(v, LoadPartial(args.y.f32() + at, n));
      StorePartial(args.y.f32() + at, v, n);
    }
  }
};

template <class Task>
inline void RunTasks(void* device, const Task& task) {
  ParallelFor(device, task.Tasks(), [&](int64_t i, Worker& worker) { task.Run(i, worker); });
}

}  // namespace
}  // namespace alignlab
