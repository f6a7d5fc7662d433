// The gradients of a linear layer, in tasks: d_x = d_y W and d_w += d_y^T x.
#pragma once

#include "cpu/kernels/linear_task.h"
#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

// One 16 x 16 block of a weight panel (inputs i0 .. i0+15), as one vector of B over 16 outputs:
// to[step][16 inputs]; missing inputs are zero. `from` is the panel at input i0.
inline void PackWeightBlock(const float* from, int n, float* to) {
  Vec m[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) m[i] = i < n ? Load(from + i * kPanel) : Zero();
  Transpose16(m);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) Store(to + i * kPanel, m[i]);
}

// bf16: `from` has rows of 16 pairs along the inputs, `to` 8 rows of 16 pairs along the outputs.
inline void PackWeightBlock(const uint16_t* from, int n, float* to) {
#if defined(__AVX512F__)
  __m512i m[8], t[8];
  const __m512i regroup =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i)
    m[i] = 2 * i < n ? _mm512_shuffle_epi8(_mm512_loadu_si512(from + i * 2 * kPanel), regroup)
                     : _mm512_setzero_si512();
    // 8 x 8 transpose of 64-bit units (two inputs of one output pair).
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_epi64(m[i], m[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi64(m[i], m[i + 1]);
  }
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const __m512i even_a = _mm512_shuffle_i64x2(t[h], t[2 + h], 0x88);
    const __m512i odd_a = _mm512_shuffle_i64x2(t[h], t[2 + h], 0xdd);
    const __m512i even_b = _mm512_shuffle_i64x2(t[4 + h], t[6 + h], 0x88);
    const __m512i odd_b = _mm512_shuffle_i64x2(t[4 + h], t[6 + h], 0xdd);
    _mm512_storeu_si512(to + h * kPanel, _mm512_shuffle_i64x2(even_a, even_b, 0x88));
    _mm512_storeu_si512(to + (2 + h) * kPanel, _mm512_shuffle_i64x2(odd_a, odd_b, 0x88));
    _mm512_storeu_si512(to + (4 + h) * kPanel, _mm512_shuffle_i64x2(even_a, even_b, 0xdd));
    _mm512_storeu_si512(to + (6 + h) * kPanel, _mm512_shuffle_i64x2(odd_a, odd_b, 0xdd));
  }
#else
  uint16_t pairs[8][2 * kPanel];
  for (int o = 0; o < 16; ++o)
    for (int i = 0; i < 16; ++i)
      pairs[o / 2][2 * i + o % 2] =
          i < RoundUp(n, 2) ? from[i / 2 * 2 * kPanel + o * 2 + i % 2] : uint16_t(0);
  std::memcpy(to, pairs, sizeof pairs);
#endif
}

// How d_x = d_y W is cut: rows by vectors of 16 inputs.
struct InputGradBlocks {
  struct Block {
    int64_t row0, rows, vec0, vecs;
  };
  Split rows, vecs;

  InputGradBlocks(void* device, const LinearInputGradArgs& args, int64_t most_vecs)
      : rows(SplitRows(device, args.d_y.rows, 1024)),
        vecs(SplitPanels(device, CeilDiv(args.weight.in, kPanel), rows.count, most_vecs, 2)) {}

  int64_t count() const { return rows.count * vecs.count; }
  Block At(int64_t index) const {
    const int64_t i = index / vecs.count, j = index % vecs.count;
    return {rows.First(i), rows.Size(i), vecs.First(j), vecs.Size(j)};
  }
};

// d_x = d_y W: vectors of C run along `in`, k = out. The task's part of W stays in scratch,
// transposed, while many tiles of rows pass over it.
template <class T>
struct InputGradTask {
  using Kernel = typename KernelOf<T>::Type;
  static constexpr int kPerStep = KernelOf<T>::kPerStep;
  static constexpr int kPanelSteps = int(kPanel) / kPerStep;
  static constexpr int64_t kResident = 10240, kVecs = 20;

  const LinearInputGradArgs& args;
  int64_t in = args.weight.in, out = args.weight.out;
  InputGradBlocks blocks;
  Split k;

  InputGradTask(void* device, const LinearInputGradArgs& a)
      : args(a),
        blocks(device, a, kVecs),
        k(CeilDiv(out, kPanel) * kPanelSteps, kResident / blocks.vecs.piece, kPanelSteps) {}

  int64_t Tasks() const { return blocks.count(); }

  void Run(int64_t index, Worker& worker) const {
    const auto [row0, m, vec0, n] = blocks.At(index);
    const int64_t b_size = n * k.piece * kPanel;
    const int64_t a_size = kTileRows * k.piece * Kernel::kUnits + kPackSlack;
    float* b = static_cast<float*>(worker.Scratch((b_size + a_size) * 4));
    float* a = b + b_size;
    const RowTiles tiles(m);
    for (int64_t kb = 0; kb < k.count; ++kb) {
      PackB(vec0, n, kb, b);
      for (int64_t i = 0; i < tiles.count; ++i)
        RunTileRow(row0 + tiles.First(i), tiles.Height(i), vec0, n, kb, a, b);
    }
  }

  void PackB(int64_t vec0, int64_t n, int64_t kb, float* b) const {
    const int64_t first = k.First(kb) / kPanelSteps, panels = k.Size(kb) / kPanelSteps;
    const int64_t panel_size = kPanel * RoundUp(in, kPerStep);
    for (int64_t j = 0; j < n; ++j)
      for (int64_t p = 0; p < panels; ++p) {
        const int64_t i0 = (vec0 + j) * kPanel;
        const T* from = static_cast<const T*>(args.weight.data) + (first + p) * panel_size;
        PackWeightBlock(from + i0 * kPanel, int(Least(in - i0, kPanel)),
                        b + (j * k.Size(kb) + p * kPanelSteps) * kPanel);
      }
  }

  void RunTileRow(int64_t row, int height, int64_t vec0, int64_t n, int64_t kb, float* a,
                  const float* b) const {
    const int64_t k0 = k.First(kb) * kPerStep;
    const int64_t kn = Least(out - k0, k.Size(kb) * kPerStep);
    PackTile(Kernel{}, static_cast<const T*>(args.d_y.data) + row * args.d_y.stride + k0,
             args.d_y.stride, height, kn, a);
    float* c = args.d_x.f32() + row * args.d_x.stride + vec0 * kPanel;
    const int64_t whole = Least(n, in / kPanel - vec0), b_vec = k.Size(kb) * kPanel;
    KernelCall call{a,      height * Kernel::kUnits,   b,       b_vec,
                    kPanel, CeilDiv(kn, kPerStep),     c,       args.d_x.stride,
                    kPanel, args.accumulate || kb > 0, nullptr, nullptr,
                    nullptr};
    RunRow<Kernel>(call, height, whole);
    if (whole == n) return;
    // The last vector is narrower than 16: through a tile of its own.
    float tile[kTileRows * kPanel];
    const int width = int(in % kPanel);
    c += whole * kPanel;
    for (int r = 0; r < height; ++r)
      Store(tile + r * kPanel, LoadPartial(c + r * args.d_x.stride, call.load ? width : 0));
    call.b += whole * b_vec;
    call.c = tile;
    call.c_row = kPanel;
    RunRow<Kernel>(call, height, 1);
    for (int r = 0; r < height; ++r)
      StorePartial(c + r * args.d_x.stride, Load(tile + r * kPanel), width);
  }
};

// sum += the sum of `count` rows, `width` columns of them.
template <class T>
inline void AddColumns(const T* from, int64_t stride, int width, int64_t count, float* sum) {
  Vec total = LoadPartial(sum, width);
  for (int64_t t = 0; t < count; ++t) total = Add(total, LoadPartialAs(from + t * stride, width));
  StorePartial(sum, total, width);
}

// d_w += d_y^T x: rows of C are inputs, columns outputs, k = tokens.
template <class T>
struct WeightGradTask {
  using Kernel = typename KernelOf<T>::Type;
  static constexpr int kPerStep = KernelOf<T>::kPerStep;
  static constexpr int64_t kSteps = 384, kRows = 168, kPanels = 20;

  const LinearWeightGradArgs& args;
  int64_t in = args.d_weight.in, out = args.d_weight.out, tokens = args.x.rows;
  Split k{CeilDiv(tokens, kPerStep), kSteps, 1};
  Split rows{in, kRows, 1};
  Split panels;

  WeightGradTask(void* device, const LinearWeightGradArgs& a)
      : args(a), panels(SplitPanels(device, CeilDiv(out, kPanel), rows.count, kPanels, 2)) {}

  int64_t Tasks() const { return rows.count * panels.count; }

  void Run(int64_t index, Worker& worker) const {
    const int64_t row0 = rows.First(index % rows.count), m = rows.Size(index % rows.count);
    const int64_t panel0 = panels.First(index / rows.count);
    const int64_t count = panels.Size(index / rows.count);
    const int64_t b_size = count * k.piece * kPanel;
    const int64_t a_size = m * k.piece * Kernel::kUnits + kPackSlack;
    float* b = static_cast<float*>(worker.Scratch((b_size + a_size) * 4));
    float* a = b + b_size;
    const T* x = static_cast<const T*>(args.x.data) + row0;
    const T* d_y = static_cast<const T*>(args.d_y.data) + panel0 * kPanel;
    const int64_t y_stride = args.d_y.stride;
    const RowTiles tiles(m);
    for (int64_t kb = 0; kb < k.count; ++kb) {
      const int64_t t0 = k.First(kb) * kPerStep;
      const int64_t t_count = Least(tokens - t0, k.Size(kb) * kPerStep);
      const int64_t steps = k.Size(kb);
      PackColumnTiles<Kernel>(x + t0 * args.x.stride, args.x.stride, tiles, t_count, a);
      const int64_t cols = Least(out - panel0 * kPanel, count * kPanel);
      PackVectors(d_y + t0 * y_stride, y_stride, cols, t_count, b);
      for (int64_t c = 0; args.d_bias && row0 == 0 && c < cols; c += kPanel)
        AddColumns(d_y + t0 * y_stride + c, y_stride, int(Least(cols - c, kPanel)), t_count,
                   args.d_bias + panel0 * kPanel + c);
      int vecs = 0;
      for (int64_t j = 0; j < count; j += vecs) {
        vecs = NextVecs(tiles.Height(0), count - j);
        for (int64_t i = 0; i < tiles.count; ++i) {
          const int height = tiles.Height(i);
          float* c = args.d_weight.f32() + ((panel0 + j) * in + row0 + tiles.First(i)) * kPanel;
          ChooseKernel<Kernel>(height, vecs)(
              {a + tiles.First(i) * steps * Kernel::kUnits, height * Kernel::kUnits,
               b + j * steps * kPanel, steps * kPanel, kPanel, steps, c, kPanel, in * kPanel, true,
               nullptr, c + height * kPanel, b + j * steps * kPanel});
        }
      }
    }
  }
};

template <class T>
inline void WeightGrad(void* device, const LinearWeightGradArgs& args) {
  RunTasks(device, WeightGradTask<T>(device, args));
}

}  // namespace
}  // namespace alignlab
