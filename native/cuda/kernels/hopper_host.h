// The host's side of attention by Hopper's instructions, forward and backward: the calls that they
// take, maps of the pages, and how tiles are cut into parts.
#pragma once

#include <algorithm>
#include <optional>

#include "cuda/kernels/attention_host.h"
#include "cuda/kernels/hopper_keys.h"

namespace alignlab::cuda {

// Tiles with no more rows on average than one warpgroup has, those of decoding above all, are left
// to smaller blocks.
inline bool FillsBlocks(Device& device, const AttentionArgs& args, int64_t rows_of_token) {
  int64_t tokens = 0;
  for (int64_t r = 0; r < args.run_count; ++r) tokens += args.runs[r].count;
  return tokens * rows_of_token > ExtentOfTiles(device, args, kWideBlock).count * kGroupRows;
}

// The pages from the first of memory to the last one that a segment has, as rows of one matrix.
inline BoxedMatrix RowsOfPages(const AttentionArgs& args) {
  const KvPages& kv = args.kv;
  int64_t last = 0;
  for (int64_t i = 0; i < args.segment_count; ++i) {
    const AttentionSegment& s = args.segments[i];
    for (int64_t p = 0; p < CeilDiv(s.length, kPage); ++p)
      last = std::max<int64_t>(last, s.pages[p]);
  }
  const int64_t rows = last * (kv.page_stride / kv.head_dim) + 2 * kv.kv_heads * kPage;
  return {kv.data, rows, kv.head_dim, kv.head_dim, 1};
}

// What the kernels copy keys by, or nothing when the device leaves the call to others:
// rows_of_token are those of a tile that a token makes.
inline std::optional<KeyBoxes> BoxesByHopper(Device& device, const AttentionArgs& args,
                                             const AttentionView<uint16_t>& v,
                                             int64_t rows_of_token) {
  if (device.hopper() == HopperUse::kNever || (v.head_dim != 64 && v.head_dim != 128)) return {};
  if (device.hopper() == HopperUse::kLarge && !FillsBlocks(device, args, rows_of_token)) return {};
  if (!v.q.aligned || v.page_stride % v.head_dim != 0) return {};
  BoxedMatrix rows = RowsOfPages(args);
  if (!rows.Fits()) return {};
  KeyBoxes boxes;
  boxes.rows_of_page = int(v.page_stride / v.head_dim);
  for (int i = 0; i < KeyBoxes::kCount; ++i) {
    rows.box_rows = 1 << i;
    boxes.of[i] = MakeTensorMap(rows);
  }
  return boxes;
}

// Wide tiles for blocks of `groups` warpgroups: units of a warpgroup's rows, in parts as equal as
// they can be.
inline TileParts PartsOfTiles(Device& device, const AttentionArgs& args, int group, int groups) {
  const TileExtent tiles = ExtentOfTiles(device, args, kWideBlock);
  const int64_t units = CeilDiv(int64_t(tiles.longest) * group, kGroupRows);
  const int64_t of_tile = CeilDiv(units, groups);
  const int64_t all = tiles.count * args.kv.kv_heads * of_tile;
  if (all == 0) return {0, 1, 0};
  return {int(all), int(of_tile), int(CeilDiv(units, of_tile)) * kGroupRows};
}

}  // namespace alignlab::cuda
