// The micro-kernels under every matrix product on the CPU: a few rows of C against panels of 16
// columns, all of k in ascending order in one accumulator per element. A product's bits therefore
// depend on its own row of A and its own column of B only, never on the tile it was computed in.
#pragma once

#include "cpu/kernels/simd.h"
#include "cpu/kernels/tile_kernel.h"
#include "cpu/kernels/tile_pack.h"

namespace alignlab {
namespace {

// C (rows, 16 vecs) = or += A (rows, k) B (k, 16 vecs), any rows and vecs.
//   A: element (r, s) at a[r * a_row + s * a_step]
//   B: vector j of step s at b + j * b_vec + s * b_step        (16 floats)
//   C: vector j of row r at c + r * c_row + j * c_vec
// For f32 a step is one k. For bf16 a step is a pair of k: A holds 32-bit pairs (a_row and a_step
// count pairs), B vectors hold 16 pairs (b_vec and b_step count pairs).
struct TileArgs {
  int64_t rows, vecs, steps;
  const void* a;
  int64_t a_row, a_step;
  const void* b;
  int64_t b_vec, b_step;
  float* c;
  int64_t c_row, c_vec;
  bool accumulate;
};

// All vectors of one tile of rows; `call` has everything but b, b's end and c set for vector 0.
template <class Kernel>
inline void RunRow(KernelCall call, int rows, int64_t vecs) {
  int step = 0;
  for (int64_t j = 0; j < vecs; j += step) {
    step = NextVecs(rows, vecs - j);
    call.next_c = call.c + step * call.c_vec;
    call.ahead = call.b;
    ChooseKernel<Kernel>(rows, step)(call);
    call.b += step * call.b_vec;
    call.c = const_cast<float*>(call.next_c);
  }
}

// A stands as it is when its rows lie side by side, and is packed into a buffer otherwise.
template <class Kernel>
void RunTile(const TileArgs& t) {
  constexpr int64_t kSteps = 256;
  alignas(64) float packed[kTileRows * kSteps * Kernel::kUnits + kPackSlack];
  const float* a = static_cast<const float*>(t.a);
  const float* b = static_cast<const float*>(t.b);
  const bool in_place = t.a_row == 1 && Kernel::kUnits == 1;
  if (t.rows <= 0 || t.vecs <= 0) return;
  const RowTiles tiles(t.rows);
  int64_t s = 0;
  do {
    const int64_t steps = t.steps - s < kSteps ? t.steps - s : kSteps;
    for (int64_t i = 0; i < tiles.count; ++i) {
      const int rows = tiles.Height(i);
      const float* from = a + tiles.First(i) * t.a_row + s * t.a_step;
      if (!in_place && t.a_step == 1) {
        PackRows<Kernel>(from, t.a_row * 4, rows, steps, packed);
      } else if (!in_place) {
        for (int64_t k = 0; k < steps; ++k) {
          float units[kLanes] = {};
          for (int r = 0; r < rows; ++r)
            std::memcpy(units + r, from + r * t.a_row + k * t.a_step, 4);
          StoreUnits(Kernel{}, packed + k * rows * Kernel::kUnits, rows, Load(units));
        }
      }
      RunRow<Kernel>({in_place ? from : packed, in_place ? t.a_step : rows * Kernel::kUnits,
                      b + s * t.b_step, t.b_vec, t.b_step, steps, t.c + tiles.First(i) * t.c_row,
                      t.c_row, t.c_vec, t.accumulate || s > 0, nullptr, nullptr, nullptr},
                     rows, t.vecs);
    }
    s += steps;
  } while (s < t.steps);
}

inline void TileF32(const TileArgs& t) { RunTile<F32Kernel>(t); }
inline void TileBf16(const TileArgs& t) { RunTile<Bf16Kernel>(t); }

}  // namespace
}  // namespace alignlab
