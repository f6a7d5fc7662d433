// Qkv and QkvBackward by definition, head by head.
#pragma once

#include <cmath>
#include <vector>

#include "backend/backend.h"
#include "reference/values.h"

namespace alignlab::reference {

// The index of element k of the key, or of the value, of a slot (page * kPage + place).
inline int64_t KeyIndex(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  const int64_t t = slot % kPage, dim = kv.head_dim, panel = kv.layout.key_panel;
  return slot / kPage * kv.page_stride + 2 * g * kPage * dim + ((t / panel) * dim + k) * panel +
         t % panel;
}
inline int64_t ValueIndex(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  const int64_t t = slot % kPage, dim = kv.head_dim;
  return slot / kPage * kv.page_stride + (2 * g + 1) * kPage * dim + t * dim + k;
}
inline double PageElement(const KvPages& kv, int64_t index) {
  return kv.layout.dtype == DType::kF32 ? kv.f32()[index] : FloatOfBf16(kv.bf16()[index]);
}
inline void SetPageElement(const KvPages& kv, int64_t index, double value) {
  if (kv.layout.dtype == DType::kF32)
    kv.f32()[index] = float(value);
  else
    kv.bf16()[index] = Bf16OfFloat(float(value));
}
inline double KeyAt(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  return PageElement(kv, KeyIndex(kv, slot, g, k));
}
inline double ValueAt(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  return PageElement(kv, ValueIndex(kv, slot, g, k));
}

// One head of a row of qkv: x, and 1 / sqrt(mean(x^2) + eps).
inline std::vector<double> QkvHead(const QkvArgs& args, int64_t token, int64_t head, double* rstd) {
  std::vector<double> x(size_t(args.head_dim));
  double squares = 0;
  for (int64_t k = 0; k < args.head_dim; ++k) {
    x[size_t(k)] = Value(args.qkv, token, head * args.head_dim + k);
    squares += x[size_t(k)] * x[size_t(k)];
  }
  *rstd = 1 / std::sqrt(squares / args.head_dim + double(args.norm_eps));
  return x;
}

// (a, b) -> (a cos - b sin, b cos + a sin), or by the opposite angle.
inline void Rotate(const QkvArgs& args, int64_t token, double direction, std::vector<double>* x) {
  const int64_t half = args.rotary_dim / 2, row = half ? args.positions[token] * half : 0;
  for (int64_t i = 0; i < half; ++i) {
    const double c = args.rope_cos[row + i], s = direction * args.rope_sin[row + i];
    const double a = (*x)[size_t(i)], b = (*x)[size_t(i + half)];
    (*x)[size_t(i)] = a * c - b * s;
    (*x)[size_t(i + half)] = b * c + a * s;
  }
}

// Normalised where `norm` is given, then rotated.
inline std::vector<double> RotatedHead(const QkvArgs& args, int64_t token, int64_t head,
                                       const float* norm) {
  double rstd = 0;
  std::vector<double> x = QkvHead(args, token, head, &rstd);
  for (int64_t k = 0; norm && k < args.head_dim; ++k) x[size_t(k)] *= rstd * norm[k];
  Rotate(args, token, 1, &x);
  return x;
}

inline void Qkv(const QkvArgs& args) {
  for (int64_t t = 0; t < args.qkv.rows; ++t) {
    for (int64_t h = 0; h < args.heads; ++h) {
      const std::vector<double> q = RotatedHead(args, t, h, args.q_norm);
      for (int64_t k = 0; k < args.head_dim; ++k)
        SetValue(args.q, t, h * args.head_dim + k, q[size_t(k)]);
    }
    for (int64_t g = 0; g < args.kv_heads; ++g) {
      double unused = 0;
      const std::vector<double> key = RotatedHead(args, t, args.heads + g, args.k_norm);
      const std::vector<double> value = QkvHead(args, t, args.heads + args.kv_heads + g, &unused);
      for (int64_t k = 0; k < args.head_dim; ++k) {
        SetPageElement(args.kv, KeyIndex(args.kv, args.kv_slot[t], g, k), key[size_t(k)]);
        SetPageElement(args.kv, ValueIndex(args.kv, args.kv_slot[t], g, k), value[size_t(k)]);
      }
    }
  }
}

// Gradient of one head, from that of its rotated form; d_norm grows.
inline std::vector<double> HeadGradient(const QkvArgs& args, int64_t token, int64_t head,
                                        std::vector<double> d, const float* norm,
                                        std::vector<double>* d_norm) {
  Rotate(args, token, -1, &d);
  if (!norm) return d;
  double rstd = 0, dot = 0;
  const std::vector<double> x = QkvHead(args, token, head, &rstd);
  for (size_t k = 0; k < d.size(); ++k) {
    (*d_norm)[k] += d[k] * x[k] * rstd;
    d[k] *= norm[k];
    dot += d[k] * x[k];
  }
  for (size_t k = 0; k < d.size(); ++k)
    d[k] = rstd * d[k] - x[k] * rstd * rstd * rstd * dot / double(d.size());
  return d;
}

inline void QkvBackward(const QkvBackwardArgs& args) {
  const QkvArgs& f = args.forward;
  const int64_t dim = f.head_dim;
  std::vector<double> d_q_norm(static_cast<size_t>(dim)), d_k_norm(static_cast<size_t>(dim));
  const auto head_of = [dim](const Tensor& from, int64_t row, int64_t head) {
    std::vector<double> x(static_cast<size_t>(dim));
    for (int64_t k = 0; k < dim; ++k) x[size_t(k)] = Value(from, row, head * dim + k);
    return x;
  };
  const auto store = [&](int64_t row, int64_t head, const std::vector<double>& x) {
    for (int64_t k = 0; k < dim; ++k) SetValue(args.d_qkv, row, head * dim + k, x[size_t(k)]);
  };
  for (int64_t t = 0; t < f.qkv.rows; ++t) {
    for (int64_t h = 0; h < f.heads; ++h)
      store(t, h, HeadGradient(f, t, h, head_of(args.d_q, t, h), f.q_norm, &d_q_norm));
    for (int64_t g = 0; g < f.kv_heads; ++g) {
      const int64_t k = f.heads + g;
      store(t, k, HeadGradient(f, t, k, head_of(args.d_k, t, g), f.k_norm, &d_k_norm));
      store(t, k + f.kv_heads, head_of(args.d_v, t, g));
    }
  }
  for (int64_t k = 0; k < dim; ++k) {
    if (f.q_norm && args.d_q_norm) args.d_q_norm[k] += float(d_q_norm[size_t(k)]);
    if (f.k_norm && args.d_k_norm) args.d_k_norm[k] += float(d_k_norm[size_t(k)]);
  }
}

}  // namespace alignlab::reference
