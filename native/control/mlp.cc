#include "control/mlp.h"

#include <cmath>

namespace alignlab {

MlpLayout::MlpLayout(int64_t first, int64_t panel, int64_t in, const std::vector<int64_t>& hidden,
                     int64_t out)
    : begin(first), end(first) {
  std::vector<int64_t> sizes{in};
  sizes.insert(sizes.end(), hidden.begin(), hidden.end());
  sizes.push_back(out);
  for (size_t l = 0; l + 1 < sizes.size(); ++l) {
    const int64_t weight = end;
    const int64_t bias =
        weight + RoundUp(WeightElements(DType::kF32, sizes[l + 1], sizes[l], panel), 16);
    layers.push_back({sizes[l], sizes[l + 1], weight, bias});
    end = bias + RoundUp(sizes[l + 1], 16);
  }
}

namespace {

Weight WeightOf(const MlpLayout::Layer& layer, const float* parameters) {
  return {const_cast<float*>(parameters + layer.weight), DType::kF32, layer.out, layer.in};
}

int64_t PanelIndex(const MlpLayout::Layer& layer, int64_t panel, int64_t o, int64_t i) {
  return layer.weight + (o / panel * layer.in + i) * panel + o % panel;
}

// visit(flat index, plain index) for every parameter of the layers.
template <class F>
void ForPlain(const MlpLayout& layout, int64_t panel, const F& visit) {
  int64_t plain = 0;
  for (const auto& layer : layout.layers) {
    for (int64_t o = 0; o < layer.out; ++o)
      for (int64_t i = 0; i < layer.in; ++i) visit(PanelIndex(layer, panel, o, i), plain++);
    for (int64_t o = 0; o < layer.out; ++o) visit(layer.bias + o, plain++);
  }
}

}  // namespace

int64_t PlainElements(const MlpLayout& layout) {
  int64_t n = 0;
  for (const auto& layer : layout.layers) n += layer.out * (layer.in + 1);
  return n;
}
void ToPlain(const MlpLayout& layout, int64_t panel, const float* parameters, float* plain) {
  ForPlain(layout, panel, [&](int64_t flat, int64_t at) { plain[at] = parameters[flat]; });
}
void FromPlain(const MlpLayout& layout, int64_t panel, const float* plain, float* parameters) {
  ForPlain(layout, panel, [&](int64_t flat, int64_t at) { parameters[flat] = plain[at]; });
}

void Initialize(const Compute& compute, const MlpLayout& layout, MlpStart start, uint64_t seed,
                uint32_t purpose, float* parameters) {
  const int64_t count = PlainElements(layout);
  const Buffer uniforms(*compute.backend, size_t(count) * 4, "the start of a network");
  compute.control().uniforms(compute.device, {seed, 0, purpose, uniforms.f32(), count});
  std::vector<float> plain(static_cast<size_t>(count));
  compute.CopyOut(plain.data(), uniforms.data(), count * 4);
  float* at = plain.data();
  for (size_t l = 0; l < layout.layers.size(); ++l) {
    const auto& layer = layout.layers[l];
    const bool small = start == MlpStart::kSmallLast && l + 1 == layout.layers.size();
    const float torch = 1 / std::sqrt(float(layer.in));
    const float bound = small ? 0.01f * std::sqrt(6 / float(layer.in + layer.out)) : torch;
    for (int64_t i = 0; i < layer.out * layer.in; ++i, ++at) *at = (2 * *at - 1) * bound;
    for (int64_t o = 0; o < layer.out; ++o, ++at) *at = small ? 0 : (2 * *at - 1) * torch;
  }
  FromPlain(layout, compute.backend->panel, plain.data(), parameters);
}

MlpActivations MlpActivations::Plan(Carver& carver, int64_t rows,
                                    const std::vector<int64_t>& hidden, int64_t out) {
  MlpActivations a;
  for (int64_t width : hidden) a.hidden[a.depth++] = carver.Matrix(DType::kF32, rows, width);
  a.out = carver.Matrix(DType::kF32, rows, out);
  return a;
}

MlpActivations MlpActivations::For(const MlpLayout& layout, int64_t rows) const {
  MlpActivations a = *this;
  a.depth = int64_t(layout.layers.size()) - 1;
  for (int64_t l = 0; l <= a.depth; ++l) {
    Tensor& t = l < a.depth ? a.hidden[l] : a.out;
    t.rows = rows;
    t.cols = t.stride = layout.layers[size_t(l)].out;
  }
  return a;
}

void Forward(const Compute& compute, const MlpLayout& layout, const float* parameters, Tensor x,
             MlpActivations& a) {
  const int64_t last = int64_t(layout.layers.size()) - 1;
  for (int64_t l = 0; l <= last; ++l) {
    const auto& layer = layout.layers[size_t(l)];
    const Tensor y = l == last ? a.out : a.hidden[l];
    compute.backend->ops.linear(compute.device,
                                {l == 0 ? x : a.hidden[l - 1], WeightOf(layer, parameters),
                                 parameters + layer.bias, y, false});
    if (l < last) compute.control().relu(compute.device, y);
  }
}

void Backward(const Compute& compute, const MlpLayout& layout, const float* parameters,
              float* gradients, Tensor x, const MlpActivations& a, Tensor d_out, float* const d[2],
              Tensor d_x) {
  const Operations& ops = compute.backend->ops;
  Tensor d_y = d_out;
  for (int64_t l = int64_t(layout.layers.size()) - 1; l >= 0; --l) {
    const auto& layer = layout.layers[size_t(l)];
    if (gradients)
      ops.linear_weight_grad(compute.device, {d_y, l == 0 ? x : a.hidden[l - 1],
                                              WeightOf(layer, gradients), gradients + layer.bias});
    if (l == 0 && !d_x.data) return;
    const Tensor below = l == 0 ? d_x : Tensor{d[l % 2], DType::kF32, d_y.rows, layer.in, layer.in};
    ops.linear_input_grad(compute.device, {d_y, WeightOf(layer, parameters), below, false});
    if (l > 0) compute.control().relu_backward(compute.device, a.hidden[l - 1], below);
    d_y = below;
  }
}

}  // namespace alignlab
