#include "cuda/attention_tiles.h"

#include <algorithm>

namespace alignlab::cuda {

namespace {

// visit(position of the first token, place of it in the run, tokens)
template <class F>
void ForEachTile(const AttentionArgs& args, const QueryRun& run, int32_t block, const F& visit) {
  const int32_t begin = args.segments[run.segment].position + run.offset;
  for (int32_t done = 0; done < run.count;) {
    const int32_t position = begin + done;
    const int32_t count = std::min(run.count - done, block - position % block);
    visit(position, done, count);
    done += count;
  }
}

void AddTiles(const AttentionArgs& args, const QueryRun& run, int32_t block,
              std::vector<AttentionTile>* tiles) {
  ForEachTile(args, run, block, [&](int32_t position, int32_t place, int32_t count) {
    tiles->push_back({run.segment, position, count, 0, run.row + place,
                      args.segments[run.segment].row + run.offset + place});
  });
}

// Where each segment stands when a segment comes before all that descends from it, and how many
// segments it and its descendants are.
struct TreeOrder {
  std::vector<int32_t> rank, size;
};

TreeOrder OrderByTree(const AttentionArgs& args) {
  const size_t count = size_t(args.segment_count);
  constexpr int32_t kNone = -1;
  // Children as linked lists in ascending order; the last list is that of the roots.
  std::vector<int32_t> first(count + 1, kNone), next(count, kNone);
  for (size_t s = count; s-- > 0;) {
    const int32_t parent = args.segments[s].parent;
    int32_t& list = first[parent < 0 ? count : size_t(parent)];
    next[s] = list;
    list = int32_t(s);
  }
  TreeOrder order{std::vector<int32_t>(count), std::vector<int32_t>(count, 1)};
  std::vector<int32_t> by_rank, open;
  for (int32_t s = first[count]; s != kNone; s = next[size_t(s)]) open.push_back(s);
  std::reverse(open.begin(), open.end());
  while (!open.empty()) {
    const int32_t s = open.back();
    open.pop_back();
    order.rank[size_t(s)] = int32_t(by_rank.size());
    by_rank.push_back(s);
    const size_t begin = open.size();
    for (int32_t c = first[size_t(s)]; c != kNone; c = next[size_t(c)]) open.push_back(c);
    std::reverse(open.begin() + int64_t(begin), open.end());
  }
  for (size_t i = by_rank.size(); i-- > 0;) {
    const size_t s = size_t(by_rank[i]);
    const int32_t parent = args.segments[s].parent;
    if (parent >= 0) order.size[size_t(parent)] += order.size[s];
  }
  return order;
}

std::vector<AttentionTile> SortedByCost(const AttentionArgs& args, int32_t block) {
  std::vector<AttentionTile> tiles;
  for (int64_t r = 0; r < args.run_count; ++r) AddTiles(args, args.runs[r], block, &tiles);
  std::stable_sort(tiles.begin(), tiles.end(), [&](const AttentionTile& a, const AttentionTile& b) {
    return a.position / block > b.position / block;
  });
  return tiles;
}

std::vector<AttentionTile> SortedByTree(const AttentionArgs& args, int32_t block) {
  const TreeOrder order = OrderByTree(args);
  std::vector<QueryRun> runs(args.runs, args.runs + args.run_count);
  std::stable_sort(runs.begin(), runs.end(), [&](const QueryRun& a, const QueryRun& b) {
    const int32_t rank_a = order.rank[size_t(a.segment)], rank_b = order.rank[size_t(b.segment)];
    return rank_a != rank_b ? rank_a < rank_b : a.offset < b.offset;
  });
  std::vector<AttentionTile> tiles;
  for (const QueryRun& run : runs) AddTiles(args, run, block, &tiles);
  // before[i]: tiles of segments whose rank is below i.
  std::vector<int32_t> before(size_t(args.segment_count) + 1);
  for (const AttentionTile& tile : tiles) ++before[size_t(order.rank[size_t(tile.segment)]) + 1];
  for (size_t i = 1; i < before.size(); ++i) before[i] += before[i - 1];
  for (AttentionTile& tile : tiles) {
    const size_t s = size_t(tile.segment);
    tile.end = before[size_t(order.rank[s] + order.size[s])];
  }
  return tiles;
}

}  // namespace

TileExtent ExtentOfTiles(const AttentionArgs& args, int32_t block) {
  TileExtent extent;
  for (int64_t r = 0; r < args.run_count; ++r)
    ForEachTile(args, args.runs[r], block, [&](int32_t, int32_t, int32_t count) {
      ++extent.count;
      extent.longest = std::max(extent.longest, count);
    });
  return extent;
}

std::vector<PathSegment> FlattenSegments(const AttentionArgs& args) {
  std::vector<PathSegment> segments;
  segments.reserve(size_t(args.segment_count));
  int64_t page = 0;
  for (int64_t s = 0; s < args.segment_count; ++s) {
    const AttentionSegment& segment = args.segments[s];
    segments.push_back({segment.parent, segment.position, int32_t(page)});
    page += RoundUp(segment.length, kPage) / kPage;
  }
  return segments;
}

std::vector<int32_t> FlattenPages(const AttentionArgs& args) {
  std::vector<int32_t> pages;
  for (int64_t s = 0; s < args.segment_count; ++s) {
    const AttentionSegment& segment = args.segments[s];
    pages.insert(pages.end(), segment.pages,
                 segment.pages + RoundUp(segment.length, kPage) / kPage);
  }
  return pages;
}

std::vector<AttentionTile> TilesByCost(const AttentionArgs& args) {
  return SortedByCost(args, kKeyBlock);
}
std::vector<AttentionTile> WideTilesByCost(const AttentionArgs& args) {
  return SortedByCost(args, kWideBlock);
}

std::vector<AttentionTile> TilesByTree(const AttentionArgs& args) {
  return SortedByTree(args, kKeyBlock);
}
std::vector<AttentionTile> WideTilesByTree(const AttentionArgs& args) {
  return SortedByTree(args, kWideBlock);
}

}  // namespace alignlab::cuda
