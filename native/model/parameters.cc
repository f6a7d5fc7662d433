#include "model/parameters.h"

#include <algorithm>

#include "error.h"

namespace alignlab {

namespace {

Slot MakeSlot(const std::string& name, SlotKind kind, int64_t rows, int64_t cols, int64_t panel) {
  Slot slot{name, kind, rows, cols};
  slot.elements = slot.in_panels() ? WeightElements(DType::kF32, rows, cols, panel) : rows * cols;
  if (slot.has_compute_form())
    slot.compute_elements =
        kind == SlotKind::kMatrix ? WeightElements(DType::kBF16, rows, cols, panel) : rows * cols;
  return slot;
}

}  // namespace

ParameterLayout::ParameterLayout(const ModelConfig& config, int64_t panel) {
  AddSlots(config, panel);
  Place();
}

void ParameterLayout::AddSlots(const ModelConfig& c, int64_t panel) {
  const bool layer_norm = c.norm == NormKind::kLayer;
  const auto add = [&](const std::string& name, SlotKind kind, int64_t rows, int64_t cols) {
    slots.push_back(MakeSlot(name, kind, rows, cols, panel));
    return int(slots.size()) - 1;
  };
  const auto vector = [&](bool present, const std::string& name, int64_t n) {
    return present ? add(name, SlotKind::kVector, 1, n) : -1;
  };
  const auto matrix = [&](const std::string& name, int64_t rows, int64_t cols) {
    return add(name, SlotKind::kMatrix, rows, cols);
  };
  at.embed = add("embed", c.tied_head ? SlotKind::kMatrix : SlotKind::kRows, c.vocab, c.width);
  if (c.learned_positions)
    at.positions = add("positions", SlotKind::kRows, c.max_position, c.width);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string p = "layers." + std::to_string(i) + ".";
    LayerSlots s;
    s.norm1 = vector(true, p + "norm1.weight", c.width);
    s.norm1_bias = vector(layer_norm, p + "norm1.bias", c.width);
    s.qkv = matrix(p + "qkv.weight", c.qkv_width(), c.width);
    s.qkv_bias = vector(c.qkv_bias, p + "qkv.bias", c.qkv_width());
    s.q_norm = vector(c.qk_norm, p + "q_norm", c.head_dim);
    s.k_norm = vector(c.qk_norm, p + "k_norm", c.head_dim);
    s.out = matrix(p + "out.weight", c.width, c.attention_width());
    s.out_bias = vector(c.out_bias, p + "out.bias", c.width);
    s.norm2 = vector(true, p + "norm2.weight", c.width);
    s.norm2_bias = vector(layer_norm, p + "norm2.bias", c.width);
    s.up = matrix(p + "up.weight", c.up_width(), c.width);
    s.up_bias = vector(c.mlp_bias, p + "up.bias", c.up_width());
    s.down = matrix(p + "down.weight", c.width, c.mlp_width);
    s.down_bias = vector(c.mlp_bias, p + "down.bias", c.width);
    at.layers.push_back(s);
  }
  at.final_norm = vector(true, "final_norm.weight", c.width);
  at.final_norm_bias = vector(layer_norm, "final_norm.bias", c.width);
  at.head = c.tied_head ? at.embed : matrix("head", c.vocab, c.width);
  if (c.scalar_outputs > 0)
    at.scalar = add("scalar", SlotKind::kScalarHead, c.scalar_outputs, c.width);
}

// Slots with a compute form first, so that the frozen bf16 model can leave their floats out.
void ParameterLayout::Place() {
  constexpr int64_t kAlign = 32;  // elements: 64 bytes in bf16
  for (Slot& s : slots)
    if (s.has_compute_form()) {
      s.offset = elements;
      s.compute_offset = compute_elements;
      elements += RoundUp(s.elements, kAlign);
      compute_elements += RoundUp(s.compute_elements, kAlign);
    }
  plain_begin = elements;
  for (Slot& s : slots)
    if (!s.has_compute_form()) {
      s.offset = elements;
      elements += RoundUp(s.elements, kAlign);
    }
}

int64_t ParameterLayout::largest_slot() const {
  int64_t largest = 0;
  for (const Slot& s : slots) largest = std::max(largest, s.elements);
  return largest;
}

Parameters::Parameters(const Backend& backend, const ModelConfig& config, DType dtype,
                       bool trainable)
    : backend_(backend), dtype_(dtype), trainable_(trainable), layout_(config, backend.panel) {
  const int64_t first = dtype == DType::kF32 ? 0 : layout_.plain_begin;
  values_ = Buffer(backend_, size_t(layout_.elements - first) * 4, "the weights");
  if (dtype == DType::kF32) return;
  const size_t half = size_t(layout_.compute_elements) * 2;
  high_ = Buffer(backend_, half, "the bf16 weights");
  if (trainable) low_ = Buffer(backend_, half, "the master weights");
}

float* Parameters::Floats(const Slot& slot) const {
  return values_.f32() + slot.offset - (dtype_ == DType::kF32 ? 0 : layout_.plain_begin);
}

SplitWeight Parameters::Split(const Slot& s) const {
  return {high_.bf16() + s.compute_offset, low_ ? low_.bf16() + s.compute_offset : nullptr, s.rows,
          s.cols, s.in_panels()};
}

Weight Parameters::ForCompute(int index) const {
  const Slot& s = layout_.slots[size_t(index)];
  if (is_split(s)) return {Split(s).high, DType::kBF16, s.rows, s.cols};
  return {Floats(s), DType::kF32, s.rows, s.cols};
}

const float* Parameters::Vector(int index) const {
  return index < 0 ? nullptr : Floats(layout_.slots[size_t(index)]);
}

float* Parameters::Lazily(Buffer& buffer, const char* what) {
  if (!buffer) buffer = Buffer(backend_, size_t(layout_.elements) * 4, what);
  return buffer.f32();
}

float* Parameters::gradients() { return Lazily(gradients_, "the gradients"); }
float* Parameters::moment1() { return Lazily(moment1_, "AdamW's first moments"); }
float* Parameters::moment2() { return Lazily(moment2_, "AdamW's second moments"); }

void Parameters::ClearGradients() {
  if (gradients_) backend_.memory.zero(backend_.device, gradients_.data(), gradients_.bytes());
}

Weight Parameters::GradientMatrix(int index) {
  const Slot& s = layout_.slots[size_t(index)];
  return {gradients() + s.offset, DType::kF32, s.rows, s.cols};
}

float* Parameters::GradientVector(int index) {
  return index < 0 ? nullptr : gradients() + layout_.slots[size_t(index)].offset;
}

void Parameters::Join(const Slot& s, float* out) const {
  if (is_split(s))
    backend_.ops.join_weights(backend_.device, Split(s), out);
  else
    backend_.memory.copy(backend_.device, out, Floats(s), size_t(s.elements) * 4);
}

void Parameters::Store(const Slot& s, const float* in) {
  if (is_split(s))
    backend_.ops.split_weights(backend_.device, in, Split(s));
  else
    backend_.memory.copy(backend_.device, Floats(s), in, size_t(s.elements) * 4);
}

void Parameters::Read(const Slot& s, float* out) const {
  if (backend_.memory.host) return Join(s, out);
  const Buffer room = Room(s.elements, "reading weights");
  Join(s, room.f32());
  backend_.memory.copy_out(backend_.device, out, room.data(), room.bytes());
}

void Parameters::Write(const Slot& s, const float* in) {
  if (backend_.memory.host) return Store(s, in);
  const Buffer room = Room(s.elements, "writing weights");
  backend_.memory.copy_in(backend_.device, room.data(), in, room.bytes());
  Store(s, room.f32());
}

void Parameters::CopyFrom(const Parameters& other) {
  if (dtype_ == other.dtype_ && (!low_ || other.low_)) {
    const auto copy = [&](const Buffer& to, const Buffer& from) {
      if (to) backend_.memory.copy(backend_.device, to.data(), from.data(), to.bytes());
    };
    copy(values_, other.values_);
    copy(high_, other.high_);
    copy(low_, other.low_);
    return;
  }
  const Buffer room = Room(layout_.largest_slot(), "copying the weights");
  for (size_t i = 0; i < slots().size(); ++i) {
    other.Join(other.slots()[i], room.f32());
    Store(slots()[i], room.f32());
  }
}

void Parameters::BlendFrom(const Parameters& other, float weight) {
  const int64_t floats = layout_.largest_slot();
  const Buffer mine = Room(floats, "blending the weights");
  const Buffer theirs = Room(floats, "blending the weights");
  for (size_t i = 0; i < slots().size(); ++i) {
    const Slot& slot = slots()[i];
    Join(slot, mine.f32());
    other.Join(other.slots()[i], theirs.f32());
    backend_.ops.axpby(backend_.device, weight, theirs.f32(), 1 - weight, mine.f32(),
                       slot.elements);
    Store(slot, mine.f32());
  }
}

size_t Parameters::bytes() const {
  return values_.bytes() + high_.bytes() + low_.bytes() + gradients_.bytes() + moment1_.bytes() +
         moment2_.bytes();
}

}  // namespace alignlab
