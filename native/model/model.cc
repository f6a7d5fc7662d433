#include "model/model.h"

#include <algorithm>
#include <cmath>

namespace alignlab {

namespace {

// The config; throws before anything is allocated for a model that the device cannot compute.
const ModelConfig& Fitting(const Backend& backend, const ModelConfig& config) {
  if (backend.max_head_dim > 0 && config.head_dim > backend.max_head_dim)
    throw Error("FAMILY_UNSUPPORTED", "The model has heads of " + std::to_string(config.head_dim) +
                                          " values; device '" + backend.name + "' computes up to " +
                                          std::to_string(backend.max_head_dim) +
                                          ". Use device: 'cpu'.");
  return config;
}

}  // namespace

Model::Model(const Backend& backend, const ModelConfig& config, DType dtype, bool trainable)
    : backend_(backend),
      config_(config),
      parameters_(backend, Fitting(backend, config_), dtype, trainable),
      transformer_(backend, config_, parameters_) {}

std::unique_ptr<Model> Model::Clone(bool trainable, DType dtype) const {
  auto copy = std::make_unique<Model>(backend_, config_, dtype, trainable);
  copy->parameters_.CopyFrom(parameters_);
  return copy;
}

void Model::RequireSameDevice(const Model& other, const char* what) const {
  if (&other.backend_ == &backend_) return;
  throw Error("OPTION_INVALID", std::string(what) +
                                    " needs two models on one device. Load both with the same "
                                    "`device`, and the same `exact`.");
}

void Model::BlendFrom(const Model& other, float weight) {
  RequireSameDevice(other, "Blending");
  const auto &mine = parameters_.slots(), &theirs = other.parameters_.slots();
  const bool same = std::equal(mine.begin(), mine.end(), theirs.begin(), theirs.end(),
                               [](const Slot& a, const Slot& b) {
                                 return a.name == b.name && a.rows == b.rows && a.cols == b.cols;
                               });
  if (!same)
    throw Error("OPTION_INVALID", "Only models of one shape can be blended. Clone one of them.");
  parameters_.BlendFrom(other.parameters_, weight);
  WeightsChanged();
}

size_t Model::bytes() const {
  return parameters_.bytes() + spare_key_values_.bytes() + (spare_ ? spare_->bytes() : 0);
}

std::unique_ptr<Arena> Model::TakeArena() {
  return spare_ ? std::move(spare_) : std::make_unique<Arena>(backend_);
}

Buffer Model::TakeKeyValues(size_t bytes) {
  if (spare_key_values_.bytes() >= bytes) return std::move(spare_key_values_);
  spare_key_values_ = Buffer();  // first give back, so that old and new are not held at once
  return Buffer(backend_, bytes, "the key/value cache");
}

void ForwardPass::LayOut(Carver& carver, const ModelConfig& c, const PassTypes& types, Keep keep,
                         bool entropy, const Size& size) {
  const DType dtype = types.dtype;
  const bool backward = keep != Keep::kNothing;
  LayOutActivations(carver, c, types, size.tokens, size.pages, keep, &activations_);
  HeadState& h = head_;
  const auto rows = [&](DType type) { return carver.Matrix(type, size.scored, c.width); };
  const auto scalar_rows = [&] { return carver.Matrix(DType::kF32, size.scalars, c.width); };
  h.x_rows = rows(DType::kF32);
  h.hidden = rows(dtype);
  h.stats = carver.Take<float>(size.scored * 2);
  h.lse = carver.Take<float>(size.scored);
  h.logprob = carver.Take<float>(size.scored);
  h.entropy = entropy ? carver.Take<float>(size.scored) : nullptr;
  h.scalar_rows = scalar_rows();
  h.scalar_hidden = scalar_rows();
  h.scalars = carver.Matrix(DType::kF32, size.scalars, c.scalar_outputs);
  h.scalar_stats = carver.Take<float>(size.scalars * 2);
  if (!backward) return;
  h.d_hidden = rows(DType::kF32);
  h.d_rows = rows(DType::kF32);
  h.d_scalars = carver.Matrix(DType::kF32, size.scalars, c.scalar_outputs);
  h.scalar_d = scalar_rows();
  h.scalar_d_rows = scalar_rows();
  d_x_ = carver.Matrix(DType::kF32, size.tokens, c.width);
  LayOutBackward(carver, c, dtype, size.tokens, &backward_);
}

void Model::Head(const Tensor& x_rows, Tensor hidden, float* stats, HeadArgs args) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  ops.norm(backend_.device,
           {config_.norm, x_rows, parameters_.Vector(at.final_norm),
            parameters_.Vector(at.final_norm_bias), config_.norm_eps, hidden, stats});
  args.hidden = hidden;
  args.weight = parameters_.ForCompute(at.head);
  ops.head(backend_.device, args);
}

void Model::RunHeads(ForwardPass& pass) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  const ForestLayout& layout = pass.layout_;
  ForwardPass::HeadState& h = pass.head_;
  if (!layout.targets.empty()) {
    ops.gather_rows(backend_.device, pass.activations_.x, layout.predictor_rows.data(), h.x_rows);
    HeadArgs args{};
    args.targets = layout.targets.data();
    args.logprob = h.logprob;
    args.entropy = h.entropy;
    args.lse = h.lse;
    Head(h.x_rows, h.hidden, h.stats, args);
  }
  if (!layout.scalar_rows.empty()) {
    ops.gather_rows(backend_.device, pass.activations_.x, layout.scalar_rows.data(), h.scalar_rows);
    ops.norm(backend_.device, {config_.norm, h.scalar_rows, parameters_.Vector(at.final_norm),
                               parameters_.Vector(at.final_norm_bias), config_.norm_eps,
                               h.scalar_hidden, h.scalar_stats});
    ops.linear(backend_.device,
               {h.scalar_hidden, parameters_.ForCompute(at.scalar), nullptr, h.scalars, false});
  }
}

std::unique_ptr<ForwardPass> Model::Run(const Forest& forest, const ForwardOptions& options,
                                        Keep keep, const CancelToken& cancel) {
  auto pass = std::make_unique<ForwardPass>();
  pass->layout_ = LayOut(forest, config_);
  ForestLayout& layout = pass->layout_;
  if (!layout.scalar_rows.empty() && config_.scalar_outputs == 0)
    throw Error("OPTION_INVALID",
                "Scalars were asked for, but this model has no scalar head. Load "
                "a ...ForSequenceClassification checkpoint or pass scalarHead.");
  const ForwardPass::Size size{layout.batch.count(), layout.page_count,
                               int64_t(layout.targets.size()), int64_t(layout.scalar_rows.size())};
  const int64_t scored = size.scored, scalars = size.scalars;
  pass->arena_ = TakeArena();
  pass->arena_->Plan(
      [&](Carver& carver) { pass->LayOut(carver, config_, types(), keep, options.entropy, size); },
      "the activations of " + std::to_string(size.tokens) + " tokens");
  pass->kv_ = {pass->activations_.pages, PageElements(config_), 0, types().kv};
  pass->version_ = version_;
  transformer_.Forward(layout.batch, pass->kv_, pass->activations_, cancel);
  RunHeads(*pass);

  ScoreResult& r = pass->result_;
  const ForwardPass::HeadState& h = pass->head_;
  r.logprobs = FromDevice(h.logprob, scored);
  if (options.entropy) r.entropies = FromDevice(h.entropy, scored);
  r.scalars = FromDevice(h.scalars.f32(), scalars * config_.scalar_outputs);
  r.offsets = layout.score_offsets;
  CheckFinite(r);
  return pass;
}

void Model::Zero(const Tensor& t) {
  Check(t.stride == t.cols, "a matrix to clear is one piece");
  backend_.memory.zero(backend_.device, t.data, size_t(t.rows * t.cols) * SizeOf(t.dtype));
}

std::vector<float> Model::FromDevice(const float* values, int64_t count) const {
  std::vector<float> copy(static_cast<size_t>(count));
  if (count > 0)
    backend_.memory.copy_out(backend_.device, copy.data(), values, copy.size() * sizeof(float));
  return copy;
}

void Model::CheckFinite(const ScoreResult& r) const {
  const auto finite = [](const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
  };
  if (!finite(r.logprobs) || !finite(r.entropies) || !finite(r.scalars))
    throw Error("NON_FINITE",
                "The model returned values that are not finite. Its weights have diverged or were "
                "damaged: go back to the last good checkpoint and lower the learning rate.");
}

ScoreResult Model::Score(const Forest& forest, bool entropy, const CancelToken& cancel) {
  auto pass = Run(forest, {entropy, false}, Keep::kNothing, cancel);
  ReturnArena(std::move(pass->arena_));
  return std::move(pass->result_);
}

std::unique_ptr<ForwardPass> Model::Forward(const Forest& forest, const ForwardOptions& options,
                                            const CancelToken& cancel) {
  if (!parameters_.trainable())
    throw Error("OPTION_INVALID",
                "This model is frozen: it has no gradients. Use score(), or load "
                "or clone it with trainable: true.");
  spare_key_values_ = Buffer();
  return Run(forest, options, options.recompute ? Keep::kInputs : Keep::kAll, cancel);
}

// The rows' own gradient first, then added where it belongs: a parent's last row may serve several
// children.
void Model::NormRowsBackward(Tensor d_hidden, Tensor x_rows, const float* stats, Tensor d_rows,
                             Tensor d_x, const std::vector<int64_t>& rows) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  Zero(d_rows);
  ops.norm_backward(
      backend_.device,
      {config_.norm, d_hidden, x_rows, parameters_.Vector(at.final_norm), stats, d_rows,
       parameters_.GradientVector(at.final_norm), parameters_.GradientVector(at.final_norm_bias)});
  ops.scatter_add_rows(backend_.device, d_rows, rows.data(), d_x);
}

void Model::BackwardHeads(ForwardPass& pass, const std::vector<float>& d_logprobs,
                          const std::vector<float>& d_entropies,
                          const std::vector<float>& d_scalars) {
  const auto& ops = backend_.ops;
  const ModelSlots& at = parameters_.at();
  const ForestLayout& layout = pass.layout_;
  ForwardPass::HeadState& h = pass.head_;
  if (!layout.targets.empty() && !(d_logprobs.empty() && d_entropies.empty())) {
    std::vector<float> zeros;
    if (d_logprobs.empty()) zeros.resize(layout.targets.size());
    HeadBackwardArgs args{};
    args.forward.hidden = h.hidden;
    args.forward.weight = parameters_.ForCompute(at.head);
    args.forward.targets = layout.targets.data();
    args.forward.lse = h.lse;
    args.forward.entropy = h.entropy;
    args.d_logprob = d_logprobs.empty() ? zeros.data() : d_logprobs.data();
    args.d_entropy = d_entropies.empty() ? nullptr : d_entropies.data();
    args.d_hidden = h.d_hidden;
    args.d_weight = parameters_.GradientMatrix(at.head);
    ops.head_backward(backend_.device, args);
    NormRowsBackward(h.d_hidden, h.x_rows, h.stats, h.d_rows, pass.d_x_, layout.predictor_rows);
  }
  if (!layout.scalar_rows.empty() && !d_scalars.empty()) {
    const Tensor d = h.d_scalars;
    backend_.memory.copy_in(backend_.device, d.data, d_scalars.data(), d_scalars.size() * 4);
    ops.linear_weight_grad(backend_.device,
                           {d, h.scalar_hidden, parameters_.GradientMatrix(at.scalar), nullptr});
    ops.linear_input_grad(backend_.device,
                          {d, parameters_.ForCompute(at.scalar), h.scalar_d, false});
    NormRowsBackward(h.scalar_d, h.scalar_rows, h.scalar_stats, h.scalar_d_rows, pass.d_x_,
                     layout.scalar_rows);
  }
}

namespace {

void CheckCoefficients(const char* name, const std::vector<float>& d, size_t expected) {
  if (!d.empty() && d.size() != expected)
    throw Error("BATCH_INVALID", std::string(name) + " has " + std::to_string(d.size()) +
                                     " coefficients for " + std::to_string(expected) +
                                     " results of the forward pass. Pass one for each.");
  for (float x : d)
    if (!std::isfinite(x))
      throw Error("NON_FINITE",
                  std::string(name) +
                      " holds a coefficient that is not finite. The "
                      "loss has overflowed: look at the log-ratios that went into it.");
}

}  // namespace

void Model::Backward(ForwardPass& pass, const std::vector<float>& d_logprobs,
                     const std::vector<float>& d_entropies, const std::vector<float>& d_scalars,
                     const CancelToken& cancel) {
  if (!pass.arena_)
    throw Error("OPTION_INVALID",
                "This forward pass has been used up or disposed. Call forward() "
                "again for each backward().");
  if (pass.version_ != version_)
    throw Error("OPTION_INVALID",
                "The weights have changed since this forward pass. Call backward()"
                " before step().");
  const ScoreResult& r = pass.result_;
  CheckCoefficients("d(loss)/d(log-prob)", d_logprobs, r.logprobs.size());
  CheckCoefficients("d(loss)/d(entropy)", d_entropies, r.entropies.size());
  CheckCoefficients("d(loss)/d(scalar)", d_scalars, r.scalars.size());
  const Tensor d_x = pass.d_x_;
  try {
    Zero(d_x);
    BackwardHeads(pass, d_logprobs, d_entropies, d_scalars);
    transformer_.Backward(pass.layout_.batch, pass.kv_, pass.activations_, d_x, pass.backward_,
                          cancel);
  } catch (...) {
    // Some blocks have added their part and others not: such gradients are of no use.
    parameters_.ClearGradients();
    throw;
  }
  ReturnArena(std::move(pass.arena_));
}

ScoreResult Model::Kl(Model& other, const Forest& forest, const CancelToken& cancel) {
  RequireSameDevice(other, "KL");
  if (other.config_.vocab != config_.vocab)
    throw Error("OPTION_INVALID", "KL needs two models of one vocabulary; these have " +
                                      std::to_string(config_.vocab) + " and " +
                                      std::to_string(other.config_.vocab) + " tokens.");
  auto p = Run(forest, {}, Keep::kNothing, cancel);
  auto q = other.Run(forest, {}, Keep::kNothing, cancel);
  ScoreResult result;
  result.offsets = p->result_.offsets;
  if (!p->layout_.targets.empty()) {
    float* kl = p->head_.logprob;  // it has been copied out
    backend_.ops.head_kl(
        backend_.device,
        {p->head_.hidden, q->head_.hidden, parameters_.ForCompute(parameters_.at().head),
         other.parameters_.ForCompute(other.parameters_.at().head), kl});
    result.logprobs = FromDevice(kl, int64_t(p->layout_.targets.size()));
  }
  ReturnArena(std::move(p->arena_));
  other.ReturnArena(std::move(q->arena_));
  CheckFinite(result);
  return result;
}

MemoryEstimate Model::Estimate(const Backend& backend, const ModelConfig& config, DType dtype,
                               bool trainable, int64_t tokens, int64_t scored, bool recompute) {
  const ParameterLayout layout(config, backend.panel);
  const bool f32 = dtype == DType::kF32;
  MemoryEstimate e{};
  e.weights = size_t(f32 ? layout.elements : layout.elements - layout.plain_begin) * 4;
  if (!f32) e.weights += size_t(layout.compute_elements) * (trainable ? 4 : 2);
  e.gradients = trainable ? size_t(layout.elements) * 4 : 0;
  e.moments = 2 * e.gradients;
  const ForwardPass::Size size{tokens, (tokens + kPage - 1) / kPage, scored, 0};
  const PassTypes types{dtype, backend.KvLayoutOf(dtype)};
  const auto measure = [&](Keep keep) {
    ForwardPass pass;
    return Arena::Measure(
        [&](Carver& carver) { pass.LayOut(carver, config, types, keep, false, size); });
  };
  const int64_t positions = std::min(tokens, config.max_position);
  const size_t angles = RopeTable::Bytes(positions, config);
  e.score = measure(Keep::kNothing) + angles;
  e.training = trainable ? measure(recompute ? Keep::kInputs : Keep::kAll) + angles : 0;
  return e;
}

}  // namespace alignlab
