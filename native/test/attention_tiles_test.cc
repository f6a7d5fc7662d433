// The tables that the attention kernels of the GPU walk over.
#include "cuda/attention_tiles.h"

#include <algorithm>
#include <set>

#include "test/attention_case.h"

using namespace alignlab;
using namespace alignlab::test;
using namespace alignlab::cuda;

namespace {

// Segments of which none stands beside its relatives.
const Tree kScattered{{-1, -1, 0, 1, 0, 2, 1, 5}, {70, 3, 1, 64, 65, 130, 1, 20}};

AttentionArgs ArgsOf(const Forest& forest) {
  AttentionArgs args{};
  args.segments = forest.segments.data();
  args.segment_count = int64_t(forest.segments.size());
  args.runs = forest.runs.data();
  args.run_count = int64_t(forest.runs.size());
  return args;
}

bool IsAncestor(const AttentionArgs& args, int32_t ancestor, int32_t segment) {
  for (int32_t s = args.segments[segment].parent; s >= 0; s = args.segments[s].parent)
    if (s == ancestor) return true;
  return false;
}

// Every token is in one tile, and no tile leaves its block of positions.
void ExpectCover(const AttentionArgs& args, const std::vector<AttentionTile>& tiles,
                 int32_t block) {
  const TileExtent extent = ExtentOfTiles(args, block);
  EXPECT(int64_t(tiles.size()) == extent.count);
  std::set<int64_t> rows;
  int64_t tokens = 0, expected = 0;
  int32_t longest = 0;
  for (const AttentionTile& tile : tiles) {
    const AttentionSegment& segment = args.segments[tile.segment];
    const int32_t last = tile.position + tile.count - 1;
    EXPECT(tile.count >= 1 && tile.position / block == last / block);
    EXPECT(tile.position >= segment.position && last < segment.position + segment.length);
    EXPECT(tile.key_row == segment.row + tile.position - segment.position);
    for (int32_t t = 0; t < tile.count; ++t) rows.insert(tile.row + t);
    tokens += tile.count;
    longest = std::max(longest, tile.count);
  }
  for (int64_t r = 0; r < args.run_count; ++r) {
    const QueryRun& run = args.runs[r];
    expected += run.count;
    for (int32_t t = 0; t < run.count; ++t) EXPECT(rows.count(run.row + t) == 1);
  }
  EXPECT(tokens == expected && int64_t(rows.size()) == expected);
  EXPECT(longest == extent.longest);
}

void ExpectByCost(const std::vector<AttentionTile>& tiles, int32_t block) {
  EXPECT(std::is_sorted(tiles.begin(), tiles.end(),
                        [&](const AttentionTile& a, const AttentionTile& b) {
                          return a.position / block > b.position / block;
                        }));
}

void TestCover(const AttentionArgs& args) {
  ExpectCover(args, TilesByCost(args), kKeyBlock);
  ExpectCover(args, TilesByTree(args), kKeyBlock);
  ExpectCover(args, WideTilesByCost(args), kWideBlock);
  ExpectCover(args, WideTilesByTree(args), kWideBlock);
  ExpectByCost(TilesByCost(args), kKeyBlock);
  ExpectByCost(WideTilesByCost(args), kWideBlock);
}

// The tiles whose queries see a tile's keys, by definition, are the range that it names.
void ExpectTree(const AttentionArgs& args, const std::vector<AttentionTile>& tiles) {
  for (size_t i = 0; i < tiles.size(); ++i)
    for (size_t j = 0; j < tiles.size(); ++j) {
      const AttentionTile &keys = tiles[i], &queries = tiles[j];
      const bool own = keys.segment == queries.segment && keys.position <= queries.position;
      const bool sees = own || IsAncestor(args, keys.segment, queries.segment);
      EXPECT(sees == (j >= i && int32_t(j) < keys.end));
    }
}

void TestTree(const AttentionArgs& args) {
  ExpectTree(args, TilesByTree(args));
  ExpectTree(args, WideTilesByTree(args));
}

void TestSegments(const Forest& forest) {
  const AttentionArgs args = ArgsOf(forest);
  const std::vector<PathSegment> segments = FlattenSegments(args);
  const std::vector<int32_t> pages = FlattenPages(args);
  EXPECT(segments.size() == forest.segments.size());
  size_t next = 0;
  for (size_t s = 0; s < segments.size(); ++s) {
    EXPECT(segments[s].parent == forest.segments[s].parent);
    EXPECT(segments[s].position == forest.segments[s].position);
    EXPECT(segments[s].first_page == int32_t(next));
    for (int32_t page : forest.pages[s]) EXPECT(next < pages.size() && pages[next++] == page);
  }
  EXPECT(next == pages.size());
}

void TestForests() {
  std::vector<Tree> trees(std::begin(kTrees), std::end(kTrees));
  trees.push_back(kScattered);
  for (const Tree& tree : trees) {
    const Context context("tree " + std::to_string(&tree - trees.data()));
    const Forest forest(tree);
    TestCover(ArgsOf(forest));
    TestTree(ArgsOf(forest));
    TestSegments(forest);
  }
}

// Runs that begin anywhere, end anywhere, and stand in no order.
void TestPieces() {
  const Forest forest(kScattered);
  Random random(7);
  std::vector<QueryRun> runs;
  for (const QueryRun& whole : forest.runs)
    for (int32_t begin = 0; begin < whole.count;) {
      const int32_t count = std::min(whole.count - begin, int32_t(1 + random.Below(70)));
      runs.push_back({whole.segment, begin, count, whole.row + begin});
      begin += count;
    }
  for (size_t i = runs.size(); i > 1; --i)
    std::swap(runs[i - 1], runs[size_t(random.Below(int64_t(i)))]);
  AttentionArgs args = ArgsOf(forest);
  args.runs = runs.data();
  args.run_count = int64_t(runs.size());
  TestCover(args);
  TestTree(args);

  const QueryRun none[] = {{1, 3, 0, 0}};
  args.runs = none;
  args.run_count = 1;
  const TileExtent extent = ExtentOfTiles(args);
  EXPECT(extent.count == 0 && TilesByCost(args).empty() && extent.longest == 0);
}

}  // namespace

int main() {
  TestForests();
  TestPieces();
  return Report();
}
