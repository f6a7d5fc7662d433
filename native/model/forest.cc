#include "model/forest.h"

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

}  // namespace

BatchId TokenBatch::NextBatchId() {
  static std::atomic<BatchId> last{0};
  return last.fetch_add(1) + 1;
}

ForestLayout LayOut(const Forest& f, const ModelConfig& config) {
  CheckShape(f);
  CheckTokens(f, config.vocab);
  ForestLayout out;
  TokenBatch& b = out.batch;
  const size_t segments = f.parents.size();
  for (size_t s = 0; s < segments; ++s)
    out.page_count += (f.offsets[s + 1] - f.offsets[s] + kPage - 1) / kPage;
  for (int64_t p = 0; p < out.page_count; ++p) out.pages.push_back(int32_t(p));

  b.tokens = f.tokens;
  b.segments.reserve(segments);  // `above` points into it while it grows
  out.score_offsets.push_back(0);
  int64_t page = 0;
  for (size_t s = 0; s < segments; ++s) {
    const int32_t begin = f.offsets[s], length = f.offsets[s + 1] - begin, parent = f.parents[s];
    const AttentionSegment* above = parent < 0 ? nullptr : &b.segments[size_t(parent)];
    const int64_t position = above ? int64_t(above->position) + above->length : 0;
    if (position + length > config.max_position)
      throw Error("SEQUENCE_TOO_LONG",
                  "The path to the end of " + At(s) + " is " + std::to_string(position + length) +
                      " tokens long; this model has " + std::to_string(config.max_position) +
                      " positions. Truncate the text.");
    b.segments.push_back({parent, int32_t(position), length, begin, out.pages.data() + page});
    b.runs.push_back({int32_t(s), 0, length, begin});
    for (int32_t i = 0; i < length; ++i) {
      b.positions.push_back(int32_t(position) + i);
      b.kv_slot.push_back((page + i / kPage) * kPage + i % kPage);
    }
    page += (length + kPage - 1) / kPage;
    if (f.scored[s])
      for (int32_t i = above ? 0 : 1; i < length; ++i) {
        out.predictor_rows.push_back(i > 0 ? begin + i - 1 : above->row + above->length - 1);
        out.targets.push_back(f.tokens[size_t(begin + i)]);
      }
    out.score_offsets.push_back(int32_t(out.targets.size()));
  }
  for (int32_t at : f.scalar_at) {
    if (at < 0 || at >= b.count())
      throw Error("BATCH_INVALID", "A scalar is asked for at token " + std::to_string(at) +
                                       " of a batch of " + std::to_string(b.count()) + " tokens.");
    out.scalar_rows.push_back(at);
  }
  return out;
}

}  // namespace alignlab
