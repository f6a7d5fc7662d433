#include "decode/generator.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "backend/noted_step.h"

namespace alignlab {

namespace {

// New prompt tokens in one step, unless a single prompt is longer: bounds the activations.
constexpr int64_t kPrefillTokens = 4096;

// Sum of the `count` largest values.
int64_t SumOfLargest(std::vector<int64_t> values, size_t count) {
  std::sort(values.begin(), values.end(), std::greater<>());
  values.resize(std::min(values.size(), count));
  return std::accumulate(values.begin(), values.end(), int64_t(0));
}

}  // namespace

Generator::Generator(Model& model, std::vector<GenerationRequest> requests, int32_t max_batch,
                     Mixture mixture)
    : model_(model), requests_(std::move(requests)), max_batch_(max_batch), mixture_(mixture) {
  CheckRequests();
  if (mixture_.model) CheckMixture();
  size_t sequences = 0;
  for (const GenerationRequest& r : requests_) sequences += r.seeds.size();
  results_.resize(sequences);
  const int64_t pages = PagesNeeded();
  pages_ = std::make_unique<PagePool>(pages);
  decoder_ = std::make_unique<Decoder>(model_, pages);
  if (mixture_.model) other_ = std::make_unique<Decoder>(*mixture_.model, pages);
}

void Generator::CheckMixture() const {
  model_.RequireSameDevice(*mixture_.model, "A mixture");
  const int64_t vocab = model_.config().vocab, other = mixture_.model->config().vocab;
  if (vocab != other)
    throw Error("OPTION_INVALID", "A mixture needs two models of one vocabulary; these have " +
                                      std::to_string(vocab) + " and " + std::to_string(other) +
                                      " tokens.");
  if (!(mixture_.weight >= 0 && mixture_.weight <= 1))
    throw Error("OPTION_INVALID", "The mixture's weight is " + std::to_string(mixture_.weight) +
                                      "; it must be between 0 (this model) and 1 (the other).");
}

void Generator::CheckRequests() const {
  const ModelConfig& c = model_.config();
  if (max_batch_ < 1) throw Error("OPTION_INVALID", "maxBatch must be 1 or more.");
  for (size_t i = 0; i < requests_.size(); ++i) {
    const GenerationRequest& r = requests_[i];
    const std::string prompt = "prompt " + std::to_string(i);
    ValidateSampling(r.settings, c.vocab);
    if (r.prompt.empty())
      throw Error("BATCH_INVALID", "There are no tokens in " + prompt +
                                       ". Start it with the model's begin-of-text token.");
    for (int32_t t : r.prompt)
      if (t < 0 || t >= c.vocab)
        throw Error("TOKEN_OUT_OF_RANGE", "Token " + std::to_string(t) + " of " + prompt +
                                              " is not in the vocabulary of " +
                                              std::to_string(c.vocab) + " tokens.");
    const int64_t length = int64_t(r.prompt.size()), total = length + r.settings.max_new_tokens;
    const int64_t positions =
        std::min(c.max_position, mixture_.model ? mixture_.model->config().max_position : total);
    if (total > positions)
      throw Error("SEQUENCE_TOO_LONG", "The " + std::to_string(length) + " tokens of " + prompt +
                                           " and " + std::to_string(r.settings.max_new_tokens) +
                                           " new ones do not fit into this model's " +
                                           std::to_string(positions) +
                                           " positions. Shorten the prompt or lower maxNewTokens.");
  }
}

int64_t Generator::PagesNeeded() const {
  std::vector<int64_t> prompts, responses;
  for (const GenerationRequest& r : requests_) {
    prompts.push_back(PagePool::PagesFor(int64_t(r.prompt.size())));
    responses.insert(responses.end(), r.seeds.size(),
                     PagePool::PagesFor(r.settings.max_new_tokens));
  }
  // One prompt more than there are places: its samples may still wait.
  return SumOfLargest(prompts, size_t(max_batch_) + 1) +
         SumOfLargest(responses, size_t(max_batch_));
}

std::vector<GeneratedSequence> Generator::Run(const OnTokens& on_tokens,
                                              const GenerationControl& control,
                                              const CancelToken& cancel) {
  for (;;) {
    Admit();
    if (active_.empty()) break;
    cancel.ThrowIfCancelled();
    BuildBatch();
    PlanRows();
    NotedStep step(model_.backend(), OnlyDraws());
    decoder_->Step(batch_, rows_, cancel);
    if (other_) other_->Step(batch_, rows_, cancel);
    SampleStep();
    step.Run();
    Settle(on_tokens, control);
  }
  return std::move(results_);
}

void Generator::Admit() {
  int64_t prompt_tokens = 0;
  while (int64_t(active_.size()) < max_batch_) {
    Group* group = groups_.empty() ? nullptr : groups_.back().get();
    if (!group || group->started == int32_t(group->request->seeds.size())) {
      while (next_request_ < requests_.size() && requests_[next_request_].seeds.empty())
        ++next_request_;
      if (next_request_ == requests_.size()) return;
      const auto prompt = int32_t(next_request_);
      const GenerationRequest& request = requests_[next_request_];
      const int64_t length = int64_t(request.prompt.size());
      if (prompt_tokens > 0 && prompt_tokens + length > kPrefillTokens) return;
      prompt_tokens += length;
      ++next_request_;
      groups_.push_back(std::make_unique<Group>());
      group = groups_.back().get();
      group->request = &request;
      group->prompt = prompt;
      group->first_sequence = next_sequence_;
      next_sequence_ += int32_t(request.seeds.size());
      pages_->Extend(group->pages, length);
    }
    const size_t sample = size_t(group->started++);
    const GenerationRequest& request = *group->request;
    const int32_t sequence = group->first_sequence + int32_t(sample);
    if (request.settings.max_new_tokens == 0) {
      ++group->finished;
      continue;
    }
    SamplingSettings settings = request.settings;
    settings.seed = request.seeds[sample];
    active_.push_back(std::make_unique<Active>(
        Active{group,
               sequence,
               SequenceSampler(settings, request.streams[sample], request.prompt.data(),
                               int64_t(request.prompt.size())),
               {}}));
  }
}

int32_t Generator::AddSegment(int32_t parent, int64_t position, int64_t length, int64_t row,
                              const std::vector<int32_t>& pages) {
  batch_.segments.push_back({parent, int32_t(position), int32_t(length), row, pages.data()});
  return int32_t(batch_.segments.size()) - 1;
}

void Generator::AddTokens(int32_t segment, const int32_t* tokens, int64_t offset, int64_t count,
                          const std::vector<int32_t>& pages) {
  const int32_t position = batch_.segments[size_t(segment)].position;
  batch_.runs.push_back({segment, int32_t(offset), int32_t(count), batch_.count()});
  for (int64_t i = offset; i < offset + count; ++i) {
    batch_.tokens.push_back(tokens[i - offset]);
    batch_.positions.push_back(position + int32_t(i));
    batch_.kv_slot.push_back(int64_t(pages[size_t(i / kPage)]) * kPage + i % kPage);
  }
}

void Generator::BuildBatch() {
  batch_ = {};
  for (const auto& group : groups_) {
    const auto& prompt = group->request->prompt;
    const int64_t length = int64_t(prompt.size());
    group->segment =
        AddSegment(-1, 0, length, group->prefilled ? -1 : batch_.count(), group->pages);
    if (!group->prefilled) AddTokens(group->segment, prompt.data(), 0, length, group->pages);
  }
  for (const auto& a : active_) {
    a->row = -1;
    if (a->last_token < 0) continue;
    const int64_t length = a->sampler.generated();
    pages_->Extend(a->pages, length);
    a->row = batch_.count();
    const int32_t segment = AddSegment(a->group->segment, int64_t(a->group->request->prompt.size()),
                                       length, a->row, a->pages);
    AddTokens(segment, &a->last_token, length - 1, 1, a->pages);
  }
}

// In the order: sequences with a token in the batch, those that begin at a prompt in the batch,
// then those whose prompt was computed in an earlier step.
void Generator::PlanRows() {
  rows_.Clear();
  order_.clear();
  std::vector<Active*> waiting;
  const auto last_row = [&](const Group& group) {
    const AttentionSegment& prompt = batch_.segments[size_t(group.segment)];
    return prompt.row + prompt.length - 1;
  };
  for (const auto& a : active_) {
    if (a->row < 0 && a->group->prefilled) {
      waiting.push_back(a.get());
      continue;
    }
    rows_.fresh.push_back(a->row < 0 ? last_row(*a->group) : a->row);
    order_.push_back(a.get());
  }
  for (Active* a : waiting) {
    rows_.held.push_back(a->group->prompt);
    order_.push_back(a);
  }
  for (const auto& group : groups_) {
    const bool more_to_start = group->started < int32_t(group->request->seeds.size());
    if (!group->prefilled && more_to_start) rows_.hold.push_back({group->prompt, last_row(*group)});
    group->prefilled = true;
  }
}

// No prompt is read and none waits: each sequence has one token more. Such steps follow one another
// by the hundred, and the operations of one are those of the next.
bool Generator::OnlyDraws() const {
  return batch_.count() == rows_.count() && rows_.held.empty() && rows_.hold.empty();
}

void Generator::SampleStep() {
  samples_.Clear();
  for (const Active* a : order_) samples_.Add(a->sampler);
  const Backend& backend = model_.backend();
  SampleArgs args = samples_.Args(decoder_->logits(), decoder_->lse());
  if (other_) {
    const Tensor &z = decoder_->logits(), &mixed = other_->logits();
    for (int64_t r = 0; r < z.rows; ++r)
      backend.ops.axpby(backend.device, 1 - mixture_.weight, z.f32() + r * z.stride,
                        mixture_.weight, mixed.f32() + r * mixed.stride, z.cols);
    args.draw_from = mixed;
  }
  backend.ops.sample(backend.device, args);
}

void Generator::Settle(const OnTokens& on_tokens, const GenerationControl& control) {
  std::vector<TokenEvent> events;
  events.reserve(order_.size());
  for (size_t r = 0; r < order_.size(); ++r) {
    Active& a = *order_[r];
    const int32_t token = samples_.token(int64_t(r));
    if (token < 0)
      throw Error("NON_FINITE",
                  "The model's logits are not finite, so nothing can be sampled. Its "
                  "weights have diverged or were damaged: go back to the last good "
                  "checkpoint.");
    const float logprob = samples_.logprob(int64_t(r));
    const float processed = samples_.processed_logprob(int64_t(r));
    GeneratedSequence& result = results_[size_t(a.sequence)];
    result.tokens.push_back(token);
    result.logprobs.push_back(logprob);
    result.processed_logprobs.push_back(processed);
    a.last_token = token;
    a.sampler.Observe(token);
    events.push_back({a.sequence, token, logprob, processed});
  }
  if (on_tokens) on_tokens(events);
  const auto finished = [&](const std::unique_ptr<Active>& a) {
    GeneratedSequence& result = results_[size_t(a->sequence)];
    const bool stop = a->sampler.IsStop(a->last_token);
    const bool interrupted = control.interrupted(size_t(a->sequence));
    const bool full = a->sampler.generated() >= a->sampler.settings().max_new_tokens;
    if (!stop && !interrupted && !full) return false;
    result.finish = stop          ? FinishReason::kStop
                    : interrupted ? FinishReason::kInterrupted
                                  : FinishReason::kLength;
    pages_->Release(a->pages);
    ++a->group->finished;
    return true;
  };
  active_.erase(std::remove_if(active_.begin(), active_.end(), finished), active_.end());
  const auto done = [&](const std::unique_ptr<Group>& group) {
    if (group->finished < int32_t(group->request->seeds.size())) return false;
    pages_->Release(group->pages);
    decoder_->Forget(group->prompt);
    if (other_) other_->Forget(group->prompt);
    return true;
  };
  groups_.erase(std::remove_if(groups_.begin(), groups_.end(), done), groups_.end());
}

}  // namespace alignlab
