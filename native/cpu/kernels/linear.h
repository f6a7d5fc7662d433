// The three products of a linear layer over panel-packed weights. Work is cut into blocks of C:
// rows by panels; a task packs its A (and what it needs of B) into scratch of about half an L2
// cache and runs the tiles of its block. Nothing here changes a sum: k ascends everywhere.
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

// Columns of C: at most `limit` panels a block, and small enough that there are about four tasks
// a thread, but never below four panels.
inline Split SplitPanels(void* device, int64_t panels, int64_t row_blocks, int64_t limit) {
  const int64_t wanted = 4 * static_cast<Pool*>(device)->threads();
  const int64_t pieces = Most(1, CeilDiv(wanted, row_blocks));
  return Split(panels, Least(limit, Most(kWideVecs, panels / pieces)), 2);
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

// --- y = x W^T -------------------------------------------------------------------------------

template <class T>
struct LinearTask {
  using Kernel = typename KernelOf<T>::Type;
  static constexpr int kPerStep = KernelOf<T>::kPerStep;
  static constexpr int64_t kRows = 8 * kTileRows, kSteps = 1024, kResident = 8192;

  const LinearArgs& args;
  int64_t in = args.weight.in, out = args.weight.out;
  int64_t steps = CeilDiv(in, kPerStep), whole_panels = out / kPanel;
  Split rows{args.x.rows, kRows, 1};
  Split k{steps, kSteps, kLanes};
  Split panels;

  LinearTask(void* device, const LinearArgs& a)
      : args(a),
        panels(SplitPanels(device, CeilDiv(out, kPanel), rows.count, k.count > 1 ? 64 : 1 << 20)) {}

  // Sums of the last panel when it is not whole, and of all when k comes in several blocks, wait
  // in scratch: panel j of row r at ((j * rows + r) * 16.
  void Run(int64_t index, Worker& worker) const {
    const int64_t row0 = rows.First(index / panels.count), m = rows.Size(index / panels.count);
    const int64_t panel0 = panels.First(index % panels.count);
    const int64_t count = panels.Size(index % panels.count);
    const int64_t a_size = RoundUp(m * Least(k.piece, steps) * Kernel::kUnits + kPackSlack, 16);
    const int64_t waiting = k.count > 1 ? count : 1;
    float* a = static_cast<float*>(worker.Scratch((a_size + waiting * m * kPanel) * 4));
    float* sums = a + a_size;
    const RowTiles tiles(m);
    for (int64_t kb = 0; kb < k.count; ++kb) {
      PackBlock(tiles, row0, kb, a);
      // A few panels at a time stay in the second cache while all tiles pass over them.
      const int64_t resident = Most(kWideVecs, kResident / k.Size(kb) / kWideVecs * kWideVecs);
      for (int64_t j0 = 0; j0 < count; j0 += resident)
        for (int64_t i = 0; i < tiles.count; ++i) {
          int vecs = 0;
          for (int64_t j = j0; j < Least(count, j0 + resident); j += vecs) {
            const int64_t whole = Least(Least(count, j0 + resident), whole_panels - panel0) - j;
            vecs = whole > 0 ? NextVecs(tiles.Height(i), whole) : 1;
            float* c = sums + (k.count > 1 ? j * m * kPanel : 0);
            RunTileOf(tiles, i, vecs, kb, panel0 + j, row0, a, c);
          }
        }
      if (kb == k.count - 1 && panel0 + count > whole_panels)
        StoreLast(sums + (k.count > 1 ? (count - 1) * m * kPanel : 0), row0, m, whole_panels);
    }
  }

  void PackBlock(const RowTiles& tiles, int64_t row0, int64_t kb, float* a) const {
    const int64_t k0 = k.First(kb) * kPerStep, n = Least(in - k0, k.Size(kb) * kPerStep);
    for (int64_t i = 0; i < tiles.count; ++i) {
      const int64_t row = row0 + tiles.First(i);
      PackTile(Kernel{}, static_cast<const T*>(args.x.data) + row * args.x.stride + k0,
               args.x.stride, tiles.Height(i), n,
               a + tiles.First(i) * k.Size(kb) * Kernel::kUnits);
    }
  }

  void RunTileOf(const RowTiles& tiles, int64_t i, int vecs, int64_t kb, int64_t panel,
                 int64_t row0, const float* a, float* sums) const {
    const int height = tiles.Height(i);
    const int64_t first = tiles.First(i), block = steps * kPanel, c_vec = tiles.rows * kPanel;
    float* c = sums + first * kPanel;
    const bool last = kb == k.count - 1 && (panel + vecs) * kPanel <= out;
    const int64_t y_at = (row0 + first) * args.y.stride + panel * kPanel;
    const bool bf16 = args.y.dtype == DType::kBF16;
    const Epilogue epilogue{args.bias ? args.bias + panel * kPanel : nullptr,
                            static_cast<char*>(args.y.data) + y_at * (bf16 ? 2 : 4),
                            args.y.stride, bf16, args.accumulate};
    ChooseKernel<Kernel>(height, vecs)(
        {a + first * k.Size(kb) * Kernel::kUnits, height * Kernel::kUnits,
         static_cast<const float*>(args.weight.data) + panel * block + k.First(kb) * kPanel, block,
         kPanel, k.Size(kb), c, kPanel, c_vec, kb > 0, last ? &epilogue : nullptr, c + vecs * c_vec});
  }

  // The last panel of an `out` that is no multiple of 16.
  void StoreLast(const float* sums, int64_t row0, int64_t m, int64_t panel) const {
    const int n = int(out - panel * kPanel);
    for (int64_t r = 0; r < m; ++r) {
      Vec v = Load(sums + r * kPanel);
      if (args.bias) v = Add(v, LoadPartial(args.bias + panel * kPanel, n));
      const int64_t at = (row0 + r) * args.y.stride + panel * kPanel;
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
inline void RunTasks(void* device, const Task& task, int64_t count) {
  ParallelFor(device, count, [&](int64_t i, Worker& worker) { task.Run(i, worker); });
}

inline void Linear(void* device, const LinearArgs& args) {
  if (args.x.rows == 0 || args.weight.out == 0) return;
  if (args.weight.dtype == DType::kF32) {
    const LinearTask<float> task(device, args);
    RunTasks(device, task, task.rows.count * task.panels.count);
  } else {
    const LinearTask<uint16_t> task(device, args);
    RunTasks(device, task, task.rows.count * task.panels.count);
  }
}

}  // namespace
}  // namespace alignlab

#include "cpu/kernels/linear_grad.h"
