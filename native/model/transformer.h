// The transformer, forward and backward: one visible loop over blocks. Sampling, scoring and
// training run this same code on different batches, which is why they agree bit for bit.
#pragma once

#include "backend/arena.h"
#include "cancel.h"
#include "model/forest.h"
#include "model/parameters.h"
#include "model/rope.h"

namespace alignlab {

// What a block leaves behind for its backward pass. "dtype" as in backend.h.
struct BlockActivations {
  Tensor entry;    // f32 (T, D) residual stream at the block's entry, exact; kInputs only
  Tensor x_in;     // dtype (T, D) the same as the first norm's backward pass reads it
  Tensor qkv;      // dtype (T, (H + 2G) K) before norm and rotation
  Tensor context;  // dtype (T, H K) what attention returned
  float* lse;      // (T, H); null when no backward follows
  Tensor x_mid;    // dtype (T, D) after attention; = x_in in a parallel block
  Tensor up;       // dtype (T, F or 2F)
};

enum class Keep {
  kNothing,  // scoring, decoding: every block uses the same buffers
  kInputs,   // recomputation: each block keeps its entry, its backward runs the block again
  kAll,
};

struct Activations {
  std::vector<BlockActivations> blocks;
  Tensor x;       // f32 (T, D) the residual stream; scratch of the backward pass
  Tensor normed;  // dtype (T, D) scratch
  Tensor q;       // (T, H K) scratch, of the dtype of keys and values
  Tensor gated;   // dtype (T, F) scratch
  void* pages;    // keys and values of one block (forest batches only)
  Keep keep;
};

// Where keys and values live: all blocks share one block's worth of pages in training and
// scoring, each block has its own in decoding.
struct KvStore {
  void* data;
  int64_t page_stride, layer_stride;  // elements
  KvLayout layout;
};

// Scratch of a backward pass.
struct BackwardBuffers {
  Tensor d_cast;         // dtype (T, D) d_x as the products read it; bf16 or parallel only
  Tensor d_normed;       // f32 (T, D)
  Tensor d_gated;        // f32 (T, F)
  Tensor d_up;           // dtype, as up
  Tensor d_context;      // f32 (T, H K)
  Tensor d_q, d_k, d_v;  // f32
  Tensor d_qkv;          // dtype
  float* stats;          // (T, 2)
};

// Elements that one page of one layer holds.
inline int64_t PageElements(const ModelConfig& config) { return 2 * kPage * config.kv_width(); }

// What decides the buffers of a pass: the model's compute type, and how keys and values are kept.
struct PassTypes {
  DType dtype;
  KvLayout kv;
};

// Plan the buffers of a pass over `tokens` tokens. pages: 0 when the keys live elsewhere.
void LayOutActivations(Carver& carver, const ModelConfig& config, const PassTypes& types,
                       int64_t tokens, int64_t pages, Keep keep, Activations* out);
void LayOutBackward(Carver& carver, const ModelConfig& config, DType dtype, int64_t tokens,
                    BackwardBuffers* out);

class Transformer {
 public:
  Transformer(const Backend& backend, const ModelConfig& config, Parameters& parameters)
      : backend_(backend), config_(config), parameters_(parameters), rope_(backend) {}

  // Leaves the residual stream after the last block in a.x.
  void Forward(const TokenBatch& batch, const KvStore& kv, Activations& a,
               const CancelToken& cancel);
  // From dLoss/dx after the last block (in d_x, f32 (T, D), destroyed) to the gradients of all
  // blocks and the embedding.
  void Backward(const TokenBatch& batch, const KvStore& kv, Activations& a, Tensor d_x,
                const BackwardBuffers& buffers, const CancelToken& cancel);

 private:
  void Embed(const TokenBatch& batch, Tensor x);
  void EmbedBackward(const TokenBatch& batch, Tensor d_x);
  // One block, on the residual stream a.x in place.
  void Block(int64_t layer, const TokenBatch& batch, const KvStore& kv, const BlockActivations& b,
             const Activations& a);
  void BlockBackward(int64_t layer, const TokenBatch& batch, const KvStore& kv,
                     const BlockActivations& b, const Activations& a, Tensor d_x,
                     const BackwardBuffers& g);
  void MlpBackward(const LayerSlots& s, const BlockActivations& b, const Activations& a,
                   Tensor d_out, Tensor d_x, const BackwardBuffers& g);
  void AttentionBackward(const LayerSlots& s, const TokenBatch& batch, const KvPages& pages,
                         const BlockActivations& b, const Activations& a, Tensor d_out, Tensor d_x,
                         const BackwardBuffers& g);

  // Thin wrappers: slots in, operation called.
  void Norm(int weight, int bias, Tensor x, Tensor y, float* stats = nullptr);
  void NormBackward(int weight, int bias, Tensor d_y, Tensor x, const float* stats, Tensor d_x);
  void Linear(int weight, int bias, Tensor x, Tensor y, bool accumulate = false);
  // The MLP up to what `down` reads: a.gated from a.normed.
  void Up(const LayerSlots& s, const BlockActivations& b, const Activations& a);
  // And back: g.d_up and, once more, a.gated from the gradient of what `down` gave.
  void UpBackward(const LayerSlots& s, const BlockActivations& b, const Activations& a,
                  Tensor d_out, const BackwardBuffers& g);
  void LinearBackward(int weight, int bias, Tensor d_y, Tensor x, Tensor d_x);
  void LinearWeightGrad(int weight, int bias, Tensor d_y, Tensor x);
  void LinearInputGrad(int weight, Tensor d_y, Tensor d_x);
  void Copy(Tensor from, Tensor to) { backend_.ops.convert(backend_.device, from, to); }
  // A kept residual stream as the norms' backward pass reads it: f32, in `scratch` if need be.
  Tensor Restore(Tensor kept, Tensor scratch);
  QkvArgs QkvOf(const LayerSlots& s, const TokenBatch& batch, const KvPages& pages, Tensor qkv,
                Tensor q) const;
  AttentionArgs AttentionOf(const TokenBatch& batch, const KvPages& pages, Tensor q, Tensor out,
                            float* lse) const;
  KvPages PagesOf(const KvStore& kv, int64_t layer) const;

  const Backend& backend_;
  const ModelConfig& config_;
  Parameters& parameters_;
  RopeTable rope_;
};

}  // namespace alignlab
