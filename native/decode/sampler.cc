#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "backend/philox.h"
#include "error.h"

namespace alignlab {
namespace {

constexpr float kGreedyBelow = 1e-5f;

void Require(bool holds, const char* name, const std::string& value, const char* allowed) {
  if (holds) return;
  throw Error("OPTION_INVALID",
              std::string(name) + " is " + value + "; it must be " + allowed + ".");
}

bool IsGreedy(const SamplingSettings& s) { return s.greedy || s.temperature < kGreedyBelow; }

}  // namespace

void ValidateSampling(const SamplingSettings& s, int64_t vocab) {
  const auto text = [](auto x) { return std::to_string(x); };
  // Written so that NaN fails each of them.
  Require(s.temperature >= 0 && std::isfinite(s.temperature), "temperature", text(s.temperature),
          "a finite number, 0 (greedy) or more");
  Require(s.top_k >= 0, "topK", text(s.top_k), "0 (off) or more");
  Require(s.top_p > 0 && s.top_p <= 1, "topP", text(s.top_p), "above 0 and at most 1");
  Require(s.min_p >= 0 && s.min_p <= 1, "minP", text(s.min_p), "between 0 and 1");
  Require(s.repetition_penalty > 0 && std::isfinite(s.repetition_penalty), "repetitionPenalty",
          text(s.repetition_penalty), "a finite number above 0");
  Require(std::isfinite(s.presence_penalty), "presencePenalty", text(s.presence_penalty),
          "a finite number");
  Require(std::isfinite(s.frequency_penalty), "frequencyPenalty", text(s.frequency_penalty),
          "a finite number");
  Require(s.max_new_tokens >= 0, "maxNewTokens", text(s.max_new_tokens), "0 or more");
  Require(s.min_new_tokens >= 0 && s.min_new_tokens <= s.max_new_tokens, "minNewTokens",
          text(s.min_new_tokens), "between 0 and maxNewTokens");
  for (int32_t token : s.stop_tokens)
    Require(token >= 0 && token < vocab, "a stop token", text(token),
            ("between 0 and " + text(vocab - 1)).c_str());
  std::vector<int32_t> stops = s.stop_tokens;
  std::sort(stops.begin(), stops.end());
  const auto distinct = std::unique(stops.begin(), stops.end()) - stops.begin();
  Require(s.min_new_tokens == 0 || distinct < vocab, "stopTokens", "the whole vocabulary",
          "less than that when minNewTokens is given");
}

SequenceSampler::SequenceSampler(const SamplingSettings& settings, uint64_t sequence,
                                 const int32_t* prompt, int64_t prompt_length)
    : settings_(settings),
      sequence_(sequence),
      penalised_(settings.repetition_penalty != 1 || settings.presence_penalty != 0 ||
                 settings.frequency_penalty != 0) {
  // Only the repetition penalty looks at the prompt; the others see a count of 0 there.
  if (settings.repetition_penalty == 1) return;
  for (int64_t i = 0; i < prompt_length; ++i) Count(prompt[i], 0);
}

void SequenceSampler::Count(int32_t token, int32_t generated) {
  const auto [at, is_new] = seen_index_.try_emplace(token, seen_.size());
  if (is_new) {
    seen_.push_back(token);
    seen_counts_.push_back(0);
  }
  seen_counts_[at->second] += generated;
}

void SequenceSampler::Observe(int32_t token) {
  ++generated_;
  if (penalised_) Count(token, 1);
}

bool SequenceSampler::IsStop(int32_t token) const {
  const auto& stops = settings_.stop_tokens;
  return std::find(stops.begin(), stops.end(), token) != stops.end();
}

void SampleBatch::Clear() {
  rows_.clear();
  seen_.clear();
  seen_counts_.clear();
  banned_.clear();
}

void SampleBatch::Add(const SequenceSampler& sequence) {
  const SamplingSettings& s = sequence.settings_;
  SampleRow row{};
  row.temperature = IsGreedy(s) ? 0 : s.temperature;
  row.top_k = s.top_k;
  row.top_p = s.top_p;
  row.min_p = s.min_p;
  row.repetition_penalty = s.repetition_penalty;
  row.presence_penalty = s.presence_penalty;
  row.frequency_penalty = s.frequency_penalty;
  row.seen_begin = int64_t(seen_.size());
  seen_.insert(seen_.end(), sequence.seen_.begin(), sequence.seen_.end());
  seen_counts_.insert(seen_counts_.end(), sequence.seen_counts_.begin(),
                      sequence.seen_counts_.end());
  row.seen_end = int64_t(seen_.size());
  row.banned_begin = int64_t(banned_.size());
  if (sequence.generated_ < s.min_new_tokens)
    banned_.insert(banned_.end(), s.stop_tokens.begin(), s.stop_tokens.end());
  row.banned_end = int64_t(banned_.size());
  row.uniform = UniformDouble(RandomWords(s.seed, RandomPurpose::kSampling, sequence.sequence_,
                                          uint32_t(sequence.generated_)));
  rows_.push_back(row);
}

SampleArgs SampleBatch::Args(const Tensor& logits, const float* lse) {
  Check(logits.rows == int64_t(rows_.size()), "one row of logits per sequence that samples");
  token_.resize(rows_.size());
  logprob_.resize(rows_.size());
  processed_logprob_.resize(rows_.size());
  return {logits,
          {},
          lse,
          rows_.data(),
          seen_.data(),
          seen_counts_.data(),
          banned_.data(),
          token_.data(),
          logprob_.data(),
          processed_logprob_.data()};
}

}  // namespace alignlab
