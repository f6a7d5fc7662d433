// Where every parameter of a model lies. Gradients and moments are flat float buffers of one
// layout, and so are the weights in f32. In bf16 what the products read is stored in split form
// (SplitWeight in backend.h): the bf16 weight, and in trainable models the bits that make it the
// f32 master.
#pragma once

#include <string>
#include <vector>

#include "backend/buffer.h"
#include "model/config.h"

namespace alignlab {

// kMatrix: in the backend's weight layout. kRows: row-major, read by row (embedding tables).
// kVector: biases, norms. kScalarHead: a matrix that stays f32 in both dtypes.
enum class SlotKind { kMatrix, kRows, kVector, kScalarHead };

struct Slot {
  std::string name;
  SlotKind kind;
  int64_t rows, cols;
  int64_t offset = 0;          // elements into the flat buffers
  int64_t elements = 0;        // padding of the weight layout included
  int64_t compute_offset = 0;  // elements into the bf16 buffers; kMatrix and kRows only
  int64_t compute_elements = 0;

  bool has_compute_form() const { return kind == SlotKind::kMatrix || kind == SlotKind::kRows; }
  bool in_panels() const { return kind == SlotKind::kMatrix || kind == SlotKind::kScalarHead; }
  // Element (row, col) in the flat buffers.
  int64_t Index(int64_t row, int64_t col, int64_t panel) const {
    if (!in_panels()) return offset + row * cols + col;
    return offset + ((row / panel) * cols + col) * panel + row % panel;
  }
};

// Indices into the list of slots; -1 where the family has none.
struct LayerSlots {
  int norm1, norm1_bias, qkv, qkv_bias, q_norm, k_norm, out, out_bias;
  int norm2, norm2_bias, up, up_bias, down, down_bias;
};
struct ModelSlots {
  int embed = -1, positions = -1, final_norm = -1, final_norm_bias = -1;
  int head = -1;  // the embedding when tied
  int scalar = -1;
  std::vector<LayerSlots> layers;
};

// Names, shapes and offsets, without memory.
struct ParameterLayout {
  ParameterLayout(const ModelConfig& config, int64_t panel);
  int64_t largest_slot() const;  // elements

  std::vector<Slot> slots;
  ModelSlots at;
  int64_t elements = 0;          // of a flat f32 buffer
  int64_t compute_elements = 0;  // of a bf16 buffer
  int64_t plain_begin = 0;       // slots from here on have no compute form

 private:
  void AddSlots(const ModelConfig& config, int64_t panel);
  void Place();
};

class Parameters {
 public:
  // Frozen bf16 parameters keep the compute form alone.
  Parameters(const Backend& backend, const ModelConfig& config, DType dtype, bool trainable);

  const ParameterLayout& layout() const { return layout_; }
  const std::vector<Slot>& slots() const { return layout_.slots; }
  const ModelSlots& at() const { return layout_.at; }
  DType dtype() const { return dtype_; }
  bool trainable() const { return trainable_; }
  int64_t elements() const { return layout_.elements; }

  // What a forward pass reads.
  Weight ForCompute(int slot) const;
  const float* Vector(int slot) const;  // null for slot -1

  // How one slot's weights are stored: as floats, or split.
  bool is_split(const Slot& slot) const {
    return dtype_ == DType::kBF16 && slot.has_compute_form();
  }
  float* Floats(const Slot& slot) const;
  SplitWeight Split(const Slot& slot) const;

  // Flat buffers over all slots. Made at first use, zeroed.
  float* gradients();
  float* moment1();
  float* moment2();
  bool has_gradients() const { return bool(gradients_); }
  void ClearGradients();
  Weight GradientMatrix(int slot);
  float* GradientVector(int slot);  // null for slot -1

  // Reading and writing one slot's `elements` weights as f32 in the flat layout, in the host's
  // memory, whatever is stored. Padding must be zero.
  void Read(const Slot& slot, float* out) const;
  void Write(const Slot& slot, const float* in);
  void CopyFrom(const Parameters& other);
  // this = (1 - weight) this + weight other, in f32; what is stored in bf16 alone is rounded to it.
  void BlendFrom(const Parameters& other, float weight);
  size_t bytes() const;

 private:
  float* Lazily(Buffer& buffer, const char* what);
  // Read and Write, in the device's memory.
  void Join(const Slot& slot, float* out) const;
  void Store(const Slot& slot, const float* in);
  Buffer Room(int64_t floats, const char* what) const {
    return Buffer(backend_, size_t(floats) * 4, what);
  }

  const Backend& backend_;
  DType dtype_;
  bool trainable_;
  ParameterLayout layout_;
  Buffer values_;  // f32: all slots, or in bf16 those from plain_begin on
  Buffer high_;    // bf16: the other slots
  Buffer low_;     // of trainable bf16 parameters
  Buffer gradients_, moment1_, moment2_;
};

}  // namespace alignlab
