// A language model on one device: its parameters, and the calls that bindings and the generator
// make. Not thread-safe: the engine's executor runs one call at a time.
#pragma once

#include <memory>
#include <vector>

#include "model/transformer.h"

namespace alignlab {

struct ScoreResult {
  std::vector<float> logprobs;   // (R) natural log
  std::vector<float> entropies;  // (R), nats; empty when not asked for
  std::vector<float> scalars;    // (number of scalar rows, scalar outputs)
  std::vector<int32_t> offsets;  // (S + 1) into logprobs
};

class Model;

// What Forward leaves for Backward. Valid until the weights change or Backward has used it.
class ForwardPass {
 public:
  const ScoreResult& result() const { return result_; }
  size_t bytes() const { return arena_ ? arena_->bytes() : 0; }

 private:
  friend class Model;
  struct Size {
    int64_t tokens, pages, scored, scalars;
  };
  void LayOut(Carver& carver, const ModelConfig& config, const PassTypes& types, Keep keep,
              bool entropy, const Size& size);

  struct HeadState {
    Tensor x_rows;         // f32 (R, D) residual stream at the predicting rows
    Tensor hidden;         // dtype (R, D) after the final norm
    Tensor d_hidden;       // f32 (R, D)
    Tensor d_rows;         // f32 (R, D) gradient of x_rows
    float* stats;          // (R, 2)
    float* lse;            // (R)
    float* logprob;        // (R)
    float* entropy;        // (R) or null
    Tensor scalar_rows;    // f32 (N, D)
    Tensor scalar_hidden;  // f32 (N, D)
    Tensor scalar_d;       // f32 (N, D)
    Tensor scalar_d_rows;  // f32 (N, D)
    Tensor scalars;        // f32 (N, outputs)
    Tensor d_scalars;      // f32 (N, outputs)
    float* scalar_stats;
  };
  ForestLayout layout_;
  Activations activations_;
  HeadState head_;
  BackwardBuffers backward_;
  Tensor d_x_;
  KvStore kv_;
  ScoreResult result_;
  uint64_t version_ = 0;
  std::unique_ptr<Arena> arena_;
};

struct ForwardOptions {
  bool entropy = false;
  bool recompute = false;
};

// Bytes. score: a pass without, training: one with a backward pass.
struct MemoryEstimate {
  size_t weights, gradients, moments, score, training;
};

class Model {
 public:
  Model(const Backend& backend, const ModelConfig& config, DType dtype, bool trainable);
  std::unique_ptr<Model> Clone(bool trainable, DType dtype) const;

  // weights = (1 - weight) weights + weight other's. Throws OPTION_INVALID for other shapes.
  void BlendFrom(const Model& other, float weight);

  ScoreResult Score(const Forest& forest, bool entropy, const CancelToken& cancel);
  std::unique_ptr<ForwardPass> Forward(const Forest& forest, const ForwardOptions& options,
                                       const CancelToken& cancel);
  // Adds d(loss)/d(parameters) to the gradients. Each coefficient array has the length of its
  // result; an empty one counts as zeros. Uses the pass up.
  void Backward(ForwardPass& pass, const std::vector<float>& d_logprobs,
                const std::vector<float>& d_entropies, const std::vector<float>& d_scalars,
                const CancelToken& cancel);
  // KL(this || other) at each scored position of the forest.
  ScoreResult Kl(Model& other, const Forest& forest, const CancelToken& cancel);

  static MemoryEstimate Estimate(const Backend& backend, const ModelConfig& config, DType dtype,
                                 bool trainable, int64_t tokens, int64_t scored, bool recompute);

  const Backend& backend() const { return backend_; }
  // Throws OPTION_INVALID, naming what needs both, unless the models lie on one device.
  void RequireSameDevice(const Model& other, const char* what) const;
  const ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  Transformer& transformer() { return transformer_; }
  int64_t step() const { return step_; }
  void set_step(int64_t step) { step_ = step; }
  void WeightsChanged() { ++version_; }
  size_t bytes() const;

  // Memory of the last pass and of the last generation, kept for the next one: fresh pages cost
  // more than what is computed on them. A training pass gives the generation's back.
  std::unique_ptr<Arena> TakeArena();
  void ReturnArena(std::unique_ptr<Arena> arena) { spare_ = std::move(arena); }
  Buffer TakeKeyValues(size_t bytes);
  void ReturnKeyValues(Buffer buffer) { spare_key_values_ = std::move(buffer); }

  PassTypes types() const {
    return {parameters_.dtype(), backend_.KvLayoutOf(parameters_.dtype())};
  }

  // Final norm and vocabulary head on rows of the residual stream; used by the generator too.
  void Head(const Tensor& x_rows, Tensor hidden, float* stats, HeadArgs args);

 private:
  std::unique_ptr<ForwardPass> Run(const Forest& forest, const ForwardOptions& options, Keep keep,
                                   const CancelToken& cancel);
  void RunHeads(ForwardPass& pass);
  void BackwardHeads(ForwardPass& pass, const std::vector<float>& d_logprobs,
                     const std::vector<float>& d_entropies, const std::vector<float>& d_scalars);
  void NormRowsBackward(Tensor d_hidden, Tensor x_rows, const float* stats, Tensor d_rows,
                        Tensor d_x, const std::vector<int64_t>& rows);
  void CheckFinite(const ScoreResult& result) const;
  void Zero(const Tensor& tensor);
  std::vector<float> FromDevice(const float* values, int64_t count) const;

  const Backend& backend_;
  ModelConfig config_;
  Parameters parameters_;
  Transformer transformer_;
  std::unique_ptr<Arena> spare_;
  Buffer spare_key_values_;
  uint64_t version_ = 0;
  int64_t step_ = 0;
};

}  // namespace alignlab
