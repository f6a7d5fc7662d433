#include "decode/decoder.h"

#include <cstring>

namespace alignlab {

Decoder::Decoder(Model& model, int64_t pages) : model_(model) {
  const int64_t page_floats = PageFloats(model.config()), layer_stride = pages * page_floats;
  key_values_ = model.TakeKeyValues(size_t(model.config().layers * layer_stride) * 4);
  store_ = {key_values_.f32(), page_floats, layer_stride};
  arena_ = model.TakeArena();
}

Decoder::~Decoder() {
  model_.ReturnKeyValues(std::move(key_values_));
  if (arena_) model_.ReturnArena(std::move(arena_));
}

void Decoder::Step(const TokenBatch& batch, const StepRows& rows, const CancelToken& cancel) {
  const ModelConfig& c = model_.config();
  const DType dtype = model_.parameters().dtype();
  const int64_t tokens = batch.count();
  arena_->Plan(
      [&](Carver& carver) {
        LayOutActivations(carver, c, dtype, tokens, 0, Keep::kNothing, &activations_);
        x_rows_ = carver.Matrix(DType::kF32, rows.count(), c.width);
        hidden_ = carver.Matrix(dtype, rows.count(), c.width);
        logits_ = carver.Matrix(DType::kF32, rows.count(), c.vocab);
        lse_ = carver.Take<float>(rows.count());
      },
      "a decoding step of " + std::to_string(tokens) + " tokens");
  if (tokens > 0) model_.transformer().Forward(batch, store_, activations_, cancel);
  GatherRows(rows);
  HeadArgs head{};
  head.lse = lse_;
  head.logits = logits_;
  model_.Head(x_rows_, hidden_, nullptr, head);
}

void Decoder::GatherRows(const StepRows& rows) {
  const int64_t width = model_.config().width, fresh = int64_t(rows.fresh.size());
  const Backend& backend = model_.backend();
  Tensor gathered = x_rows_;
  gathered.rows = fresh;
  if (fresh > 0)
    backend.ops.gather_rows(backend.device, activations_.x, rows.fresh.data(), gathered);
  for (size_t i = 0; i < rows.held.size(); ++i)
    std::memcpy(x_rows_.f32() + (fresh + int64_t(i)) * width, held_.at(rows.held[i]).data(),
                size_t(width) * 4);
  for (const auto& [prompt, row] : rows.hold) {
    const float* x = activations_.x.f32() + row * width;
    held_[prompt].assign(x, x + width);
  }
}

}  // namespace alignlab
