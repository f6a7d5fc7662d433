#include "decode/decoder.h"

namespace alignlab {

Decoder::Decoder(Model& model, int64_t pages) : model_(model) {
  const int64_t of_page = PageElements(model.config()), of_layer = pages * of_page;
  const KvLayout layout = model.types().kv;
  key_values_ =
      model.TakeKeyValues(size_t(model.config().layers * of_layer) * SizeOf(layout.dtype));
  store_ = {key_values_.data(), of_page, of_layer, layout};
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
        LayOutActivations(carver, c, model_.types(), tokens, 0, Keep::kNothing, &activations_);
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
    backend.memory.copy_in(backend.device, x_rows_.f32() + (fresh + int64_t(i)) * width,
                           held_.at(rows.held[i]).data(), size_t(width) * 4);
  for (const auto& [prompt, row] : rows.hold) {
    std::vector<float>& held = held_[prompt];
    held.resize(size_t(width));
    backend.memory.copy_out(backend.device, held.data(), activations_.x.f32() + row * width,
                            size_t(width) * 4);
  }
}

}  // namespace alignlab
