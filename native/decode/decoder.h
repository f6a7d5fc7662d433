// One model's part in decoding: from the new tokens of a step to the logits of the rows that draw.
// It owns the model's keys and values and the step's scratch memory.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "model/model.h"

namespace alignlab {

// The rows of the residual stream that a step draws from, and those that later steps will need.
struct StepRows {
  std::vector<int64_t> fresh;  // rows of this step's batch
  std::vector<int32_t> held;   // after them: prompts whose last row was held by an earlier step
  std::vector<std::pair<int32_t, int64_t>> hold;  // (prompt, row of this batch) to hold

  int64_t count() const { return int64_t(fresh.size() + held.size()); }
  void Clear() { *this = {}; }
};

class Decoder {
 public:
  // A cache of `pages` pages; its memory is the model's from the last generation, if that suffices.
  Decoder(Model& model, int64_t pages);
  ~Decoder();
  Decoder(const Decoder&) = delete;

  // One pass over the batch; logits and lse then hold a row for each of rows.fresh and rows.held.
  void Step(const TokenBatch& batch, const StepRows& rows, const CancelToken& cancel);
  void Forget(int32_t prompt) { held_.erase(prompt); }

  const Tensor& logits() const { return logits_; }
  const float* lse() const { return lse_; }

 private:
  void GatherRows(const StepRows& rows);

  Model& model_;
  Buffer key_values_;
  KvStore store_;
  std::unique_ptr<Arena> arena_;
  std::map<int32_t, std::vector<float>> held_;  // prompt -> (D), in the host's memory

  // Of the current step.
  Activations activations_;
  Tensor x_rows_, hidden_, logits_;
  float* lse_ = nullptr;
};

}  // namespace alignlab
