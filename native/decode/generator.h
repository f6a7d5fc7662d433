// Continuous batching: prompts enter as places become free, the samples of a prompt share its
// keys and values, finished sequences leave. Each step is one forward pass of the transformer
// over the new tokens of all active sequences and the prompts that enter. Tokens may be drawn from
// the geometric mixture with a second model, which then makes the same steps beside the first.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "decode/decoder.h"
#include "decode/page_pool.h"
#include "decode/sampler.h"

namespace alignlab {

struct GenerationRequest {
  std::vector<int32_t> prompt;
  SamplingSettings settings;      // `seed` is taken from `seeds`
  std::vector<uint64_t> seeds;    // one per sample
  std::vector<uint64_t> streams;  // one per sample; with the seed it names the random stream
};

enum class FinishReason : int32_t { kStop = 0, kLength = 1, kInterrupted = 2 };

struct GeneratedSequence {
  std::vector<int32_t> tokens;  // the stop token included
  std::vector<float> logprobs;  // of the model, at temperature 1: the bits that score() returns
  std::vector<float> processed_logprobs;  // of the distribution that was drawn from
  FinishReason finish = FinishReason::kLength;
};

struct TokenEvent {
  int32_t sequence;  // index over all samples of all requests
  int32_t token;
  float logprob, processed_logprob;
};

// Shared with the JavaScript thread.
class GenerationControl {
 public:
  explicit GenerationControl(size_t sequences) : interrupted_(sequences) {}
  void Interrupt(size_t sequence) {
    if (sequence < interrupted_.size()) interrupted_[sequence].store(true);
  }
  bool interrupted(size_t sequence) const { return interrupted_[sequence].load(); }

 private:
  std::vector<std::atomic<bool>> interrupted_;
};

// Tokens are drawn from softmax((1 - weight) z + weight z'), z' being the other model's logits
// (Munos et al. 2023, arXiv 2312.00886, eq. 9). `logprobs` stay those of the first model.
struct Mixture {
  Model* model = nullptr;  // null: none
  float weight = 0;
};

class Generator {
 public:
  // Called on the executor's thread with the tokens of each step.
  using OnTokens = std::function<void(const std::vector<TokenEvent>&)>;

  // Throws BATCH_INVALID, TOKEN_OUT_OF_RANGE, SEQUENCE_TOO_LONG or OPTION_INVALID, naming the
  // prompt, before anything is computed.
  Generator(Model& model, std::vector<GenerationRequest> requests, int32_t max_batch,
            Mixture mixture = {});
  Generator(const Generator&) = delete;

  std::vector<GeneratedSequence> Run(const OnTokens& on_tokens, const GenerationControl& control,
                                     const CancelToken& cancel);
  size_t sequence_count() const { return results_.size(); }

 private:
  struct Group {  // a prompt and its samples
    const GenerationRequest* request;
    int32_t prompt;  // index of the request
    int32_t first_sequence;
    int32_t started = 0, finished = 0;
    std::vector<int32_t> pages;
    bool prefilled = false;
    int32_t segment = -1;  // in the batch of this step
  };
  struct Active {
    Group* group;
    int32_t sequence;
    SequenceSampler sampler;
    std::vector<int32_t> pages;
    int32_t last_token = -1;  // -1: nothing sampled yet
    int64_t row = -1;         // of its new token in this step's batch
  };

  void CheckRequests() const;
  void CheckMixture() const;
  int64_t PagesNeeded() const;
  void Admit();
  void BuildBatch();
  int32_t AddSegment(int32_t parent, int64_t position, int64_t length, int64_t row,
                     const std::vector<int32_t>& pages);
  void AddTokens(int32_t segment, const int32_t* tokens, int64_t offset, int64_t count,
                 const std::vector<int32_t>& pages);
  void PlanRows();
  bool OnlyDraws() const;
  void SampleStep();
  void Settle(const OnTokens& on_tokens, const GenerationControl& control);

  Model& model_;
  std::vector<GenerationRequest> requests_;
  int32_t max_batch_;
  Mixture mixture_;
  std::vector<GeneratedSequence> results_;
  size_t next_request_ = 0;
  int32_t next_sequence_ = 0;
  std::deque<std::unique_ptr<Group>> groups_;
  std::vector<std::unique_ptr<Active>> active_;
  std::unique_ptr<PagePool> pages_;
  std::unique_ptr<Decoder> decoder_, other_;  // other_: the mixture's model

  // Of the current step.
  TokenBatch batch_;
  StepRows rows_;
  std::vector<Active*> order_;  // row r of the head belongs to order_[r]
  SampleBatch samples_;
};

}  // namespace alignlab
