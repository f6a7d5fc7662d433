// Rows of the token (panels) or position (row-major) table, and the gradient's way back.
#pragma once

#include "cpu/kernels/rows.h"

namespace alignlab {
namespace {

// Row `id` of a table, 16 columns at a time.
struct PanelRowF32 {
  const float* row;
  PanelRowF32(const Weight& table, int64_t id)
      : row(table.f32() + (id / kLanes) * table.in * kLanes + id % kLanes) {}
  Vec Columns(int64_t c, int64_t n) const {
    float lanes[kLanes] = {};
    for (int64_t l = 0; l < n; ++l) lanes[l] = row[(c + l) * kLanes];
    return Load(lanes);
  }
};
struct PanelRowBf16 {
  const uint16_t* row;
  PanelRowBf16(const Weight& table, int64_t id)
      : row(table.bf16() + (id / kLanes) * RoundUp(table.in, 2) * kLanes + id % kLanes * 2) {}
  Vec Columns(int64_t c, int64_t n) const {
    uint16_t lanes[kLanes] = {};  // an odd width reads its last pair's zero
    for (int64_t l = 0; l < n; l += 2) std::memcpy(lanes + l, row + (c + l) * kLanes, 4);
    return LoadBf16(lanes);
  }
};
struct PlainRowF32 {
  const float* row;
  PlainRowF32(const Weight& table, int64_t id) : row(table.f32() + id * table.in) {}
  Vec Columns(int64_t c, int64_t n) const { return LoadN(row + c, n); }
};
struct PlainRowBf16 {
  const uint16_t* row;
  PlainRowBf16(const Weight& table, int64_t id) : row(table.bf16() + id * RoundUp(table.in, 2)) {}
  Vec Columns(int64_t c, int64_t n) const { return LoadN(row + c, n); }
};

template <class Row>
inline void EmbedRows(void* device, const EmbedArgs& args) {
  ForRows(device, args.count, args.table.in, [&](int64_t r) {
    const Row row(args.table, args.ids[r]);
    float* out = args.out.f32() + r * args.out.stride;
    ForVectors(0, args.table.in, [&](int64_t c, int64_t n) {
      const Vec value = row.Columns(c, n);
      StoreN(out + c, args.accumulate ? Add(LoadN(out + c, n), value) : value, n);
    });
  });
}

inline void Embed(void* device, const EmbedArgs& args) {
  if (args.table.dtype == DType::kF32)
    args.panels ? EmbedRows<PanelRowF32>(device, args) : EmbedRows<PlainRowF32>(device, args);
  else
    args.panels ? EmbedRows<PanelRowBf16>(device, args) : EmbedRows<PlainRowBf16>(device, args);
}

inline void EmbedBackward(void* device, const EmbedBackwardArgs& args) {
  const int64_t width = args.d_table.in;
  ForColumnBlocks(device, width, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < args.count; ++r) {
      const int64_t id = args.ids[r];
      const float* d_out = args.d_out.f32() + r * args.d_out.stride;
      if (args.panels) {
        float* row = args.d_table.f32() + (id / kLanes) * width * kLanes + id % kLanes;
        for (int64_t c = begin; c < end; ++c) row[c * kLanes] += d_out[c];
      } else {
        float* row = args.d_table.f32() + id * width;
        ForVectors(begin, end, [&](int64_t c, int64_t n) {
          StoreN(row + c, Add(LoadN(row + c, n), LoadN(d_out + c, n)), n);
        });
      }
    }
  });
}

}  // namespace
}  // namespace alignlab
