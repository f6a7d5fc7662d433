#include "model/parameters.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace alignlab {

namespace {

Slot MakeSlot(const std::string& name, SlotKind kind, int64_t rows, int64_t cols, int64_t panel) {
  Slot slot{name, kind, rows, cols};
  slot.elements =
      slot.in_panels() ? WeightElements(DType::kF32, rows, cols, panel) : rows * cols;
  if (slot.has_compute_form())
    slot.compute_elements = kind == SlotKind::kMatrix
                                ? WeightElements(DType::kBF16, rows, cols, panel)
                                : rows * cols;
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

int64_t ParameterLayout::FindSlot(const std::string& name) const {
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].name == name) return int64_t(i);
  return -1;
}

Parameters::Parameters(const Backend& backend, const ModelConfig& config, DType dtype,
                       bool trainable)
    : backend_(backend),
      dtype_(dtype),
      trainable_(trainable),
      layout_(config, backend.panel),
      has_master_(trainable || dtype == DType::kF32) {
  const int64_t first = has_master_ ? 0 : layout_.plain_begin;
  values_ = Buffer(size_t(layout_.elements - first) * 4, "the weights");
  if (dtype == DType::kBF16)
    compute_ = Buffer(size_t(layout_.compute_elements) * 2, "the bf16 weights");
}

float* Parameters::Floats(const Slot& slot) const {
  return values_.f32() + slot.offset - (has_master_ ? 0 : layout_.plain_begin);
}

Weight Parameters::ForCompute(int index) const {
  const Slot& s = layout_.slots[size_t(index)];
  if (dtype_ == DType::kBF16 && s.has_compute_form())
    return {compute_.bf16() + s.compute_offset, DType::kBF16, s.rows, s.cols};
  return {Floats(s), DType::kF32, s.rows, s.cols};
}

const float* Parameters::Vector(int index) const {
  return index < 0 ? nullptr : Floats(layout_.slots[size_t(index)]);
}

float* Parameters::Lazily(Buffer& buffer, const char* what) {
  if (!buffer) buffer = Buffer(size_t(layout_.elements) * 4, what);
  return buffer.f32();
}

float* Parameters::master() {
  Check(has_master_, "frozen bf16 parameters have no master weights");
  return values_.f32();
}
float* Parameters::gradients() { return Lazily(gradients_, "the gradients"); }
float* Parameters::moment1() { return Lazily(moment1_, "AdamW's first moments"); }
float* Parameters::moment2() { return Lazily(moment2_, "AdamW's second moments"); }

void Parameters::ClearGradients() {
  if (gradients_) std::memset(gradients_.data(), 0, gradients_.bytes());
}

Weight Parameters::GradientMatrix(int index) {
  const Slot& s = layout_.slots[size_t(index)];
  return {gradients() + s.offset, DType::kF32, s.rows, s.cols};
}

float* Parameters::GradientVector(int index) {
  return index < 0 ? nullptr : gradients() + layout_.slots[size_t(index)].offset;
}

void Parameters::Pack(const Slot& s, const float* from) {
  const auto& ops = backend_.ops;
  uint16_t* to = compute_.bf16() + s.compute_offset;
  auto* source = const_cast<float*>(from);
  if (s.kind == SlotKind::kMatrix)
    ops.pack_weight(backend_.device, {source, DType::kF32, s.rows, s.cols},
                    {to, DType::kBF16, s.rows, s.cols});
  else
    ops.convert(backend_.device, {source, DType::kF32, s.rows, s.cols, s.cols},
                {to, DType::kBF16, s.rows, s.cols, s.cols});
}

void Parameters::Read(const Slot& s, float* out) const {
  const auto& ops = backend_.ops;
  if (has_master_ || !s.has_compute_form()) {
    std::memcpy(out, Floats(s), size_t(s.elements) * 4);
    return;
  }
  uint16_t* from = compute_.bf16() + s.compute_offset;
  if (s.kind == SlotKind::kMatrix)
    ops.unpack_weight(backend_.device, {from, DType::kBF16, s.rows, s.cols},
                      {out, DType::kF32, s.rows, s.cols});
  else
    ops.convert(backend_.device, {from, DType::kBF16, s.rows, s.cols, s.cols},
                {out, DType::kF32, s.rows, s.cols, s.cols});
}

void Parameters::Write(const Slot& s, const float* in) {
  if (has_master_ || !s.has_compute_form())
    std::memcpy(Floats(s), in, size_t(s.elements) * 4);
  if (dtype_ == DType::kBF16 && s.has_compute_form()) Pack(s, in);
}

void Parameters::RefreshCompute() {
  if (dtype_ != DType::kBF16) return;
  for (const Slot& s : layout_.slots)
    if (s.has_compute_form()) Pack(s, Floats(s));
}

void Parameters::CopyFrom(const Parameters& other) {
  if (has_master_ == other.has_master_ && dtype_ == other.dtype_) {
    std::memcpy(values_.data(), other.values_.data(), values_.bytes());
    if (compute_) std::memcpy(compute_.data(), other.compute_.data(), compute_.bytes());
    return;
  }
  int64_t largest = 0;
  for (const Slot& s : layout_.slots) largest = std::max(largest, s.elements);
  Buffer slot(size_t(largest) * 4, "copying the weights");
  for (size_t i = 0; i < layout_.slots.size(); ++i) {
    other.Read(other.layout_.slots[i], slot.f32());
    Write(layout_.slots[i], slot.f32());
  }
}

size_t Parameters::bytes() const {
  return values_.bytes() + compute_.bytes() + gradients_.bytes() + moment1_.bytes() +
         moment2_.bytes();
}

}  // namespace alignlab
