#include "model/transformer.h"

#include <algorithm>

namespace alignlab {

void LayOutActivations(Carver& carver, const ModelConfig& c, const PassTypes& types, int64_t tokens,
                       int64_t pages, Keep keep, Activations* a) {
  const DType dtype = types.dtype;
  const auto residual = [&](DType type) { return carver.Matrix(type, tokens, c.width); };
  const bool backward = keep != Keep::kNothing;
  const auto intermediates = [&](BlockActivations& b) {
    if (backward) b.x_in = residual(dtype);
    b.qkv = carver.Matrix(dtype, tokens, c.qkv_width());
    b.context = carver.Matrix(dtype, tokens, c.attention_width());
    b.lse = backward ? carver.Take<float>(tokens * c.heads) : nullptr;
    if (backward) b.x_mid = c.parallel_residual ? b.x_in : residual(dtype);
    b.up = carver.Matrix(dtype, tokens, c.up_width());
  };
  a->keep = keep;
  a->blocks.assign(size_t(c.layers), {});
  a->x = residual(DType::kF32);
  BlockActivations shared{};
  if (keep != Keep::kAll) intermediates(shared);
  for (BlockActivations& b : a->blocks) {
    b = shared;
    if (keep == Keep::kInputs) b.entry = residual(DType::kF32);
    if (keep == Keep::kAll) intermediates(b);
  }
  a->normed = carver.Matrix(dtype, tokens, c.width);
  a->q = carver.Matrix(types.kv.dtype, tokens, c.attention_width());
  a->gated = carver.Matrix(dtype, tokens, c.mlp_width);
  a->pages = carver.Matrix(types.kv.dtype, pages, PageElements(c)).data;
}

void LayOutBackward(Carver& carver, const ModelConfig& c, DType dtype, int64_t tokens,
                    BackwardBuffers* g) {
  const bool cast = dtype != DType::kF32 || c.parallel_residual;
  if (cast) g->d_cast = carver.Matrix(dtype, tokens, c.width);
  g->d_normed = carver.Matrix(DType::kF32, tokens, c.width);
  g->d_gated = carver.Matrix(DType::kF32, tokens, c.mlp_width);
  g->d_up = carver.Matrix(dtype, tokens, c.up_width());
  g->d_context = carver.Matrix(DType::kF32, tokens, c.attention_width());
  g->d_q = carver.Matrix(DType::kF32, tokens, c.attention_width());
  g->d_k = carver.Matrix(DType::kF32, tokens, c.kv_width());
  g->d_v = carver.Matrix(DType::kF32, tokens, c.kv_width());
  g->d_qkv = carver.Matrix(dtype, tokens, c.qkv_width());
  g->stats = carver.Take<float>(tokens * 2);
}

void Transformer::Norm(int weight, int bias, Tensor x, Tensor y, float* stats) {
  backend_.ops.norm(backend_.device, {config_.norm, x, parameters_.Vector(weight),
                                      parameters_.Vector(bias), config_.norm_eps, y, stats});
}

void Transformer::NormBackward(int weight, int bias, Tensor d_y, Tensor x, const float* stats,
                               Tensor d_x) {
  backend_.ops.norm_backward(
      backend_.device, {config_.norm, d_y, x, parameters_.Vector(weight), stats, d_x,
                        parameters_.GradientVector(weight), parameters_.GradientVector(bias)});
}

void Transformer::Linear(int weight, int bias, Tensor x, Tensor y, bool accumulate) {
  backend_.ops.linear(backend_.device,
                      {x, parameters_.ForCompute(weight), parameters_.Vector(bias), y, accumulate});
}

void Transformer::LinearBackward(int weight, int bias, Tensor d_y, Tensor x, Tensor d_x) {
  LinearWeightGrad(weight, bias, d_y, x);
  LinearInputGrad(weight, d_y, d_x);
}

void Transformer::LinearWeightGrad(int weight, int bias, Tensor d_y, Tensor x) {
  backend_.ops.linear_weight_grad(backend_.device, {d_y, x, parameters_.GradientMatrix(weight),
                                                    parameters_.GradientVector(bias)});
}

void Transformer::LinearInputGrad(int weight, Tensor d_y, Tensor d_x) {
  backend_.ops.linear_input_grad(backend_.device,
                                 {d_y, parameters_.ForCompute(weight), d_x, false});
}

void Transformer::Up(const LayerSlots& s, const BlockActivations& b, const Activations& a) {
  const auto& ops = backend_.ops;
  const Activation kind = config_.activation;
  const Tensor kept = a.keep == Keep::kNothing ? Tensor{} : b.up;
  if (ops.linear_activation &&
      ops.linear_activation(backend_.device, {kind, a.normed, parameters_.ForCompute(s.up),
                                              parameters_.Vector(s.up_bias), kept, a.gated}))
    return;
  Linear(s.up, s.up_bias, a.normed, b.up);
  ops.activation(backend_.device, {kind, b.up, a.gated});
}

void Transformer::UpBackward(const LayerSlots& s, const BlockActivations& b, const Activations& a,
                             Tensor d_out, const BackwardBuffers& g) {
  const auto& ops = backend_.ops;
  const Activation kind = config_.activation;
  if (ops.linear_input_grad_activation &&
      ops.linear_input_grad_activation(
          backend_.device, {kind, d_out, parameters_.ForCompute(s.down), b.up, a.gated, g.d_up}))
    return;
  ops.activation(backend_.device, {kind, b.up, a.gated});
  LinearInputGrad(s.down, d_out, g.d_gated);
  ops.activation_backward(backend_.device, {kind, b.up, g.d_gated, g.d_up});
}

KvPages Transformer::PagesOf(const KvStore& kv, int64_t layer) const {
  void* of_layer =
      static_cast<char*>(kv.data) + layer * kv.layer_stride * int64_t(SizeOf(kv.layout.dtype));
  return {of_layer, kv.page_stride, int32_t(config_.kv_heads), int32_t(config_.head_dim),
          kv.layout};
}

QkvArgs Transformer::QkvOf(const LayerSlots& s, const TokenBatch& batch, const KvPages& pages,
                           Tensor qkv, Tensor q) const {
  const ModelConfig& c = config_;
  return {qkv,
          int32_t(c.heads),
          int32_t(c.kv_heads),
          int32_t(c.head_dim),
          int32_t(c.rotary_dim),
          rope_.cos(),
          rope_.sin(),
          batch.positions.data(),
          parameters_.Vector(s.q_norm),
          parameters_.Vector(s.k_norm),
          c.norm_eps,
          q,
          batch.kv_slot.data(),
          pages,
          batch.id};
}

AttentionArgs Transformer::AttentionOf(const TokenBatch& batch, const KvPages& pages, Tensor q,
                                       Tensor out, float* lse) const {
  return {q,
          pages,
          int32_t(config_.heads),
          config_.attention_scale,
          batch.segments.data(),
          int64_t(batch.segments.size()),
          batch.runs.data(),
          int64_t(batch.runs.size()),
          out,
          lse,
          batch.id};
}

void Transformer::Embed(const TokenBatch& batch, Tensor x) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  ops.embed(backend_.device, {batch.tokens.data(), batch.count(), parameters_.ForCompute(at.embed),
                              config_.tied_head, false, x});
  if (at.positions >= 0)
    ops.embed(backend_.device, {batch.positions.data(), batch.count(),
                                parameters_.ForCompute(at.positions), false, true, x});
}

void Transformer::EmbedBackward(const TokenBatch& batch, Tensor d_x) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  ops.embed_backward(backend_.device, {batch.tokens.data(), batch.count(), d_x,
                                       parameters_.GradientMatrix(at.embed), config_.tied_head});
  if (at.positions >= 0)
    ops.embed_backward(backend_.device, {batch.positions.data(), batch.count(), d_x,
                                         parameters_.GradientMatrix(at.positions), false});
}

void Transformer::Forward(const TokenBatch& batch, const KvStore& kv, Activations& a,
                          const CancelToken& cancel) {
  const int32_t last = *std::max_element(batch.positions.begin(), batch.positions.end());
  rope_.Cover(int64_t(last) + 1, config_);
  Embed(batch, a.x);
  for (size_t i = 0; i < a.blocks.size(); ++i) {
    cancel.ThrowIfCancelled();
    if (a.blocks[i].entry.data) Copy(a.x, a.blocks[i].entry);
    Block(int64_t(i), batch, kv, a.blocks[i], a);
  }
}

void Transformer::Block(int64_t layer, const TokenBatch& batch, const KvStore& kv,
                        const BlockActivations& b, const Activations& a) {
  const auto& ops = backend_.ops;
  const LayerSlots& s = parameters_.at().layers[size_t(layer)];
  const KvPages pages = PagesOf(kv, layer);
  const bool parallel = config_.parallel_residual;

  if (b.x_in.data) Copy(a.x, b.x_in);
  Norm(s.norm1, s.norm1_bias, a.x, a.normed);
  Linear(s.qkv, s.qkv_bias, a.normed, b.qkv);
  ops.qkv(backend_.device, QkvOf(s, batch, pages, b.qkv, a.q));
  ops.attention(backend_.device, AttentionOf(batch, pages, a.q, b.context, b.lse));
  // Both norms of a parallel block read the block's entry.
  if (parallel) Norm(s.norm2, s.norm2_bias, a.x, a.normed);
  Linear(s.out, s.out_bias, b.context, a.x, true);

  if (!parallel) {
    if (b.x_mid.data) Copy(a.x, b.x_mid);
    Norm(s.norm2, s.norm2_bias, a.x, a.normed);
  }
  Up(s, b, a);
  Linear(s.down, s.down_bias, a.gated, a.x, true);
}

Tensor Transformer::Restore(Tensor kept, Tensor scratch) {
  if (kept.dtype == DType::kF32) return kept;
  Copy(kept, scratch);
  return scratch;
}

void Transformer::Backward(const TokenBatch& batch, const KvStore& kv, Activations& a, Tensor d_x,
                           const BackwardBuffers& g, const CancelToken& cancel) {
  for (size_t i = a.blocks.size(); i-- > 0;) {
    cancel.ThrowIfCancelled();
    const BlockActivations& b = a.blocks[i];
    if (a.keep == Keep::kInputs) {
      Copy(b.entry, a.x);
      Block(int64_t(i), batch, kv, b, a);
    }
    BlockBackward(int64_t(i), batch, kv, b, a, d_x, g);
  }
  EmbedBackward(batch, d_x);
}

void Transformer::BlockBackward(int64_t layer, const TokenBatch& batch, const KvStore& kv,
                                const BlockActivations& b, const Activations& a, Tensor d_x,
                                const BackwardBuffers& g) {
  const LayerSlots& s = parameters_.at().layers[size_t(layer)];
  // Both branches of a parallel block see the gradient that arrived; those of a sequential block
  // see what has been added to it by then.
  const auto incoming = [&] {
    if (!g.d_cast.data) return d_x;
    Copy(d_x, g.d_cast);
    return g.d_cast;
  };
  const Tensor d_mlp_out = incoming();
  MlpBackward(s, b, a, d_mlp_out, d_x, g);
  const Tensor d_attention_out = config_.parallel_residual ? d_mlp_out : incoming();
  AttentionBackward(s, batch, PagesOf(kv, layer), b, a, d_attention_out, d_x, g);
}

void Transformer::MlpBackward(const LayerSlots& s, const BlockActivations& b, const Activations& a,
                              Tensor d_out, Tensor d_x, const BackwardBuffers& g) {
  UpBackward(s, b, a, d_out, g);
  LinearWeightGrad(s.down, s.down_bias, d_out, a.gated);
  const Tensor x_mid = Restore(b.x_mid, a.x);
  Norm(s.norm2, s.norm2_bias, x_mid, a.normed, g.stats);
  LinearBackward(s.up, s.up_bias, g.d_up, a.normed, g.d_normed);
  NormBackward(s.norm2, s.norm2_bias, g.d_normed, x_mid, g.stats, d_x);
}

void Transformer::AttentionBackward(const LayerSlots& s, const TokenBatch& batch,
                                    const KvPages& pages, const BlockActivations& b,
                                    const Activations& a, Tensor d_out, Tensor d_x,
                                    const BackwardBuffers& g) {
  const auto& ops = backend_.ops;
  const QkvArgs qkv = QkvOf(s, batch, pages, b.qkv, a.q);
  ops.qkv(backend_.device, qkv);  // rotated queries, keys and values are not kept
  LinearBackward(s.out, s.out_bias, d_out, b.context, g.d_context);
  ops.attention_backward(backend_.device, {AttentionOf(batch, pages, a.q, b.context, b.lse),
                                           g.d_context, g.d_q, g.d_k, g.d_v});
  ops.qkv_backward(backend_.device,
                   {qkv, g.d_q, g.d_k, g.d_v, g.d_qkv, parameters_.GradientVector(s.q_norm),
                    parameters_.GradientVector(s.k_norm)});
  const Tensor x_in = Restore(b.x_in, a.x);
  Norm(s.norm1, s.norm1_bias, x_in, a.normed, g.stats);
  LinearBackward(s.qkv, s.qkv_bias, g.d_qkv, a.normed, g.d_normed);
  NormBackward(s.norm1, s.norm1_bias, g.d_normed, x_in, g.stats, d_x);
}

}  // namespace alignlab
