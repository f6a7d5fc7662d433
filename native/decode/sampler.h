// What sampling remembers of a sequence (penalties, bans, its place in the random stream), and
// the rows that it hands to the backend's `sample`, where the arithmetic is.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"

namespace alignlab {

struct SamplingSettings {
  float temperature = 1;  // below 1e-5: greedy
  int32_t top_k = 0;      // 0: off
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;  // over prompt and generated tokens
  float presence_penalty = 0;    // over generated tokens
  float frequency_penalty = 0;   // over generated tokens, times their count
  int32_t min_new_tokens = 0;    // stop tokens are not drawn before
  int32_t max_new_tokens = 0;
  std::vector<int32_t> stop_tokens;
  uint64_t seed = 0;
  bool greedy = false;
};

// Throws Error OPTION_INVALID, naming the setting, its value and what it may be.
void ValidateSampling(const SamplingSettings& settings, int64_t vocab);

// One sequence. Its random numbers are a function of (seed, sequence, generated tokens so far):
// the batch it runs in and its slot there do not matter.
class SequenceSampler {
 public:
  SequenceSampler(const SamplingSettings& settings, uint64_t sequence, const int32_t* prompt,
                  int64_t prompt_length);
  // Takes notice of a generated token.
  void Observe(int32_t token);

  const SamplingSettings& settings() const { return settings_; }
  int64_t generated() const { return generated_; }
  bool IsStop(int32_t token) const;

 private:
  friend class SampleBatch;
  void Count(int32_t token, int32_t generated);

  SamplingSettings settings_;
  uint64_t sequence_;
  int64_t generated_ = 0;
  bool penalised_;  // history is kept only when a penalty reads it
  std::vector<int32_t> seen_, seen_counts_;
  std::unordered_map<int32_t, size_t> seen_index_;
};

// The rows of one decoding step, in the layout of SampleArgs, and what comes back.
class SampleBatch {
 public:
  void Clear();
  void Add(const SequenceSampler& sequence);
  // Valid until the next Clear or Add; rows in the order of Add.
  SampleArgs Args(const Tensor& logits, const float* lse);

  int32_t token(int64_t row) const { return token_[size_t(row)]; }  // -1: see SampleArgs
  float logprob(int64_t row) const { return logprob_[size_t(row)]; }
  float processed_logprob(int64_t row) const { return processed_logprob_[size_t(row)]; }

 private:
  std::vector<SampleRow> rows_;
  std::vector<int32_t> seen_, seen_counts_, banned_;
  std::vector<int32_t> token_;
  std::vector<float> logprob_, processed_logprob_;
};

}  // namespace alignlab
