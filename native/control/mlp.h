// Multilayer perceptrons with ReLU between layers, over one flat array of parameters: weights in
// the backend's panels (tensor.h), so that its matrix products read them as they are.
#pragma once

#include <vector>

#include "backend/arena.h"
#include "backend/backend.h"
#include "backend/control_operations.h"

namespace alignlab {

constexpr int64_t kMaxLayers = 9;

// The operations, and the device they are called with: all threads, or one lane's own.
struct Compute {
  const Backend* backend;
  void* device;

  const ControlOperations& control() const { return *backend->control; }
  void Copy(void* to, const void* from, int64_t bytes) const {
    backend->memory.copy(device, to, from, size_t(bytes));
  }
  // Between the host's memory and the device's.
  void CopyIn(void* to, const void* from, int64_t bytes) const {
    backend->memory.copy_in(device, to, from, size_t(bytes));
  }
  void CopyOut(void* to, const void* from, int64_t bytes) const {
    backend->memory.copy_out(device, to, from, size_t(bytes));
  }
};

// Where a network's layers lie in the flat array, from `begin` on.
struct MlpLayout {
  struct Layer {
    int64_t in, out, weight, bias;  // offsets
  };
  std::vector<Layer> layers;
  int64_t begin = 0, end = 0;

  MlpLayout() = default;
  // Sizes from the input to the output.
  MlpLayout(int64_t first, int64_t panel, int64_t in, const std::vector<int64_t>& hidden,
            int64_t out);
  int64_t in() const { return layers.front().in; }
  int64_t out() const { return layers.back().out; }
};

// How weights start: kTorch is torch.nn.Linear's default, uniform in +-1 / sqrt(in) for weights
// and biases; kSmallLast has a last layer that is Xavier-uniform with gain 0.01 and bias 0.
enum class MlpStart { kTorch, kSmallLast };
// parameters: the host's, as in ToPlain and FromPlain.
void Initialize(const Compute& compute, const MlpLayout& layout, MlpStart start, uint64_t seed,
                uint32_t purpose, float* parameters);

// What a forward pass leaves for the backward pass.
struct MlpActivations {
  Tensor hidden[kMaxLayers];
  Tensor out;
  static MlpActivations Plan(Carver& carver, int64_t rows, const std::vector<int64_t>& hidden,
                             int64_t out);
  // The same memory as the activations of one network for `rows` rows.
  MlpActivations For(const MlpLayout& layout, int64_t rows) const;
  int64_t depth = 0;
};

inline Tensor Rows(Tensor t, int64_t first, int64_t count) {
  t.data = t.f32() + first * t.stride;
  t.rows = count;
  return t;
}
inline Tensor Columns(Tensor t, int64_t first, int64_t count) {
  t.data = t.f32() + first;
  t.cols = count;
  return t;
}

void Forward(const Compute& compute, const MlpLayout& layout, const float* parameters, Tensor x,
             MlpActivations& a);

// d: two matrices of at least rows x the widest hidden layer. Adds to `gradients` unless it is
// null, writes d_x unless that has no data. a.hidden is kept.
void Backward(const Compute& compute, const MlpLayout& layout, const float* parameters,
              float* gradients, Tensor x, const MlpActivations& a, Tensor d_out, float* const d[2],
              Tensor d_x);

// Between row-major (out, in) weights with biases behind them, layer by layer, and the panels.
int64_t PlainElements(const MlpLayout& layout);
void ToPlain(const MlpLayout& layout, int64_t panel, const float* parameters, float* plain);
void FromPlain(const MlpLayout& layout, int64_t panel, const float* plain, float* parameters);

}  // namespace alignlab
