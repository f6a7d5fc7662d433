// A batch is a forest of token segments: each continues its parent or starts a sequence. Here it
// is checked, and turned into the tables that the operations read.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace alignlab {

// As it comes from the caller: S segments over T packed tokens.
struct Forest {
  std::vector<int32_t> tokens;     // (T)
  std::vector<int32_t> offsets;    // (S + 1): segment s holds tokens [offsets[s], offsets[s+1])
  std::vector<int32_t> parents;    // (S): an earlier segment, or -1
  std::vector<uint8_t> scored;     // (S): its tokens get log-probabilities
  std::vector<int32_t> scalar_at;  // packed token indices at which the scalar head is read
};

// What one pass over tokens needs to know of them: made from a Forest for scoring and training,
// or by the generator for each decoding step.
struct TokenBatch {
  std::vector<int32_t> tokens, positions;  // (T)
  std::vector<int64_t> kv_slot;            // (T)
  std::vector<AttentionSegment> segments;
  std::vector<QueryRun> runs;
  BatchId id = NextBatchId();  // of what the lists above hold once the batch is complete

  static BatchId NextBatchId();
  int64_t count() const { return int64_t(tokens.size()); }
};

struct ForestLayout {
  TokenBatch batch;  // rows in an order of its own; a segment may hold several of the forest's
  std::vector<int32_t> pages;  // page numbers of all segments, one after the other
  int64_t page_count = 0;
  // Scored positions in order. A token is predicted at the row before it: its own segment's, or
  // the last of the parent for a segment's first token; a root's first token is not predicted.
  std::vector<int64_t> predictor_rows;  // (R)
  std::vector<int32_t> targets;         // (R)
  std::vector<int32_t> score_offsets;   // (S + 1): segment s owns results [s], [s+1]
  std::vector<int64_t> scalar_rows;

  ForestLayout() = default;
  ForestLayout(ForestLayout&&) = default;  // segments point into `pages`, whose memory moves along
  ForestLayout& operator=(ForestLayout&&) = default;
};

// Throws BATCH_INVALID, TOKEN_OUT_OF_RANGE or SEQUENCE_TOO_LONG, naming the segment.
ForestLayout LayOut(const Forest& forest, const ModelConfig& config);

}  // namespace alignlab
