// What the attention kernels walk over, made on the host once for a batch: the segments with their
// pages in one array, and the queries cut into tiles.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace alignlab::cuda {

// Keys are taken in blocks by position along the path, [64 b, 64 b + 64), wherever their segments
// and pages begin.
constexpr int32_t kKeyBlock = 64;

struct PathSegment {
  int32_t parent, position;
  int32_t first_page;  // in the array of all pages
};

// Successive tokens of one run inside one block of positions. So all of them see the same blocks
// of keys, each at least one key of every block, and only the last block has a diagonal.
struct AttentionTile {
  int32_t segment;
  int32_t position, count;  // of the first token; tokens
  int32_t end;              // see TilesByTree
  int64_t row;              // of the first token in q and out
  int64_t key_row;          // of the first token as a key: in d_k and d_v
};

// A tile that spans two blocks: its first tokens do not see the last one.
constexpr int32_t kWideBlock = 2 * kKeyBlock;

struct TileExtent {
  int64_t count = 0;
  int32_t longest = 0;  // tokens of a tile, at most
};
// `block`: of positions, that tiles are inside of.
TileExtent ExtentOfTiles(const AttentionArgs& args, int32_t block = kKeyBlock);

std::vector<PathSegment> FlattenSegments(const AttentionArgs& args);
std::vector<int32_t> FlattenPages(const AttentionArgs& args);

// Most keys first, so that what starts last is short.
std::vector<AttentionTile> TilesByCost(const AttentionArgs& args);
std::vector<AttentionTile> WideTilesByCost(const AttentionArgs& args);
// A segment, then all that descends from it, each by position: the keys of tile i are seen by the
// queries of tiles [i, tile.end) and by no others.
std::vector<AttentionTile> TilesByTree(const AttentionArgs& args);
std::vector<AttentionTile> WideTilesByTree(const AttentionArgs& args);

}  // namespace alignlab::cuda
