#include "model/forest.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "error.h"

namespace alignlab {

namespace {

std::string At(size_t segment) { return "segment " + std::to_string(segment); }

void CheckShape(const Forest& f) {
  const size_t segments = f.parents.size();
  if (segments == 0)
    throw Error("BATCH_INVALID", "The batch has no segments. Pass at least one with tokens in it.");
  if (f.offsets.size() != segments + 1 || f.scored.size() != segments || f.offsets[0] != 0 ||
      f.offsets[segments] != int64_t(f.tokens.size()))
    throw Error("BATCH_INVALID",
                "The batch's offsets, parents, scored marks and tokens are of "
                "different lengths. Build it with packForest().");
  for (size_t s = 0; s < segments; ++s) {
    if (f.offsets[s + 1] <= f.offsets[s])
      throw Error("BATCH_INVALID", "There are no tokens in " + At(s) +
                                       ". Leave empty segments out, or make them children of the "
                                       "text that they follow.");
    if (f.parents[s] < -1 || f.parents[s] >= int64_t(s))
      throw Error("BATCH_INVALID", "The parent of " + At(s) + " is " +
                                       std::to_string(f.parents[s]) +
                                       ". A parent must stand before its children in the list "
                                       "(or be absent, for a root).");
  }
}

void CheckTokens(const Forest& f, int64_t vocab) {
  for (size_t s = 0; s < f.parents.size(); ++s)
    for (int32_t t = f.offsets[s]; t < f.offsets[s + 1]; ++t)
      if (f.tokens[size_t(t)] < 0 || f.tokens[size_t(t)] >= vocab)
        throw Error("TOKEN_OUT_OF_RANGE",
                    "Token " + std::to_string(f.tokens[size_t(t)]) + " at place " +
                        std::to_string(t - f.offsets[s]) + " of " + At(s) +
                        " is not in the vocabulary of " + std::to_string(vocab) +
                        " tokens. Is the tokenizer the one of this checkpoint?");
}

int32_t LengthOf(const Forest& f, size_t segment) {
  return f.offsets[segment + 1] - f.offsets[segment];
}

// An only child continues its parent without a break: results do not depend on where a path is
// cut, and a text of thousands of short segments is then one stretch of keys, not a page each.
// Other segments start a chain. Rows, and pages, go chain by chain.
struct Chains {
  std::vector<AttentionSegment> segments;  // one a chain; `pages` is not set yet
  std::vector<int32_t> of;                 // (S): the segment's chain
  std::vector<int32_t> begin;              // (S): tokens of the chain before the segment
};

Chains FindChains(const Forest& f) {
  const size_t count = f.parents.size();
  std::vector<int32_t> children(count);
  for (int32_t parent : f.parents)
    if (parent >= 0) ++children[size_t(parent)];
  Chains c;
  for (size_t s = 0; s < count; ++s) {
    const int32_t parent = f.parents[s];
    if (parent >= 0 && children[size_t(parent)] == 1) {
      c.of.push_back(c.of[size_t(parent)]);
    } else {
      const int32_t above = parent < 0 ? -1 : c.of[size_t(parent)];
      const int32_t position =
          above < 0 ? 0 : c.segments[size_t(above)].position + c.segments[size_t(above)].length;
      c.of.push_back(int32_t(c.segments.size()));
      c.segments.push_back({above, position, 0, 0, nullptr});
    }
    AttentionSegment& chain = c.segments[size_t(c.of[s])];
    c.begin.push_back(chain.length);
    chain.length += LengthOf(f, s);
  }
  int64_t row = 0;
  for (AttentionSegment& chain : c.segments) {
    chain.row = row;
    row += chain.length;
  }
  return c;
}

int64_t RowOf(const Chains& c, size_t segment) {
  return c.segments[size_t(c.of[segment])].row + c.begin[segment];
}

void CheckPositions(const Forest& f, const Chains& c, int64_t max_position) {
  for (size_t s = 0; s < f.parents.size(); ++s) {
    const int64_t end = int64_t(c.segments[size_t(c.of[s])].position) + c.begin[s] + LengthOf(f, s);
    if (end > max_position)
      throw Error("SEQUENCE_TOO_LONG", "The path to the end of " + At(s) + " is " +
                                           std::to_string(end) + " tokens long; this model has " +
                                           std::to_string(max_position) +
                                           " positions. Truncate the text.");
  }
}

void AddChains(const Chains& chains, ForestLayout* out) {
  TokenBatch& b = out->batch;
  for (const AttentionSegment& chain : chains.segments) {
    for (int32_t i = 0; i < chain.length; ++i) {
      b.positions.push_back(chain.position + i);
      b.kv_slot.push_back((out->page_count + i / kPage) * kPage + i % kPage);
    }
    b.runs.push_back({int32_t(b.runs.size()), 0, chain.length, chain.row});
    out->page_count += (chain.length + kPage - 1) / kPage;
  }
  for (int64_t p = 0; p < out->page_count; ++p) out->pages.push_back(int32_t(p));
  b.segments = chains.segments;
  const int32_t* pages = out->pages.data();
  for (AttentionSegment& segment : b.segments) {
    segment.pages = pages;
    pages += (segment.length + kPage - 1) / kPage;
  }
}

void AddTokens(const Forest& f, const Chains& chains, ForestLayout* out) {
  out->batch.tokens.resize(f.tokens.size());
  out->score_offsets.push_back(0);
  for (size_t s = 0; s < f.parents.size(); ++s) {
    const int32_t* tokens = f.tokens.data() + f.offsets[s];
    const int32_t length = LengthOf(f, s), parent = f.parents[s];
    const int64_t row = RowOf(chains, s);
    std::copy(tokens, tokens + length, out->batch.tokens.begin() + row);
    if (f.scored[s])
      for (int32_t i = parent < 0 ? 1 : 0; i < length; ++i) {
        out->predictor_rows.push_back(
            i > 0 ? row + i - 1 : RowOf(chains, size_t(parent)) + LengthOf(f, size_t(parent)) - 1);
        out->targets.push_back(tokens[i]);
      }
    out->score_offsets.push_back(int32_t(out->targets.size()));
  }
}

void AddScalars(const Forest& f, const Chains& chains, ForestLayout* out) {
  for (int32_t at : f.scalar_at) {
    if (at < 0 || size_t(at) >= f.tokens.size())
      throw Error("BATCH_INVALID", "A scalar is asked for at token " + std::to_string(at) +
                                       " of a batch of " + std::to_string(f.tokens.size()) +
                                       " tokens.");
    const auto next = std::upper_bound(f.offsets.begin(), f.offsets.end(), at);
    const size_t segment = size_t(next - f.offsets.begin()) - 1;
    out->scalar_rows.push_back(RowOf(chains, segment) + at - f.offsets[segment]);
  }
}

}  // namespace

BatchId TokenBatch::NextBatchId() {
  static std::atomic<BatchId> last{0};
  return last.fetch_add(1) + 1;
}

ForestLayout LayOut(const Forest& f, const ModelConfig& config) {
  CheckShape(f);
  CheckTokens(f, config.vocab);
  const Chains chains = FindChains(f);
  CheckPositions(f, chains, config.max_position);
  ForestLayout out;
  AddChains(chains, &out);
  AddTokens(f, chains, &out);
  AddScalars(f, chains, &out);
  return out;
}

}  // namespace alignlab
