// Between the projection and attention: split into heads, RMS norm per head, rotation by position,
// and the storing of keys and values in pages. And the way back. All arithmetic in f32.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/attention_path.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/transpose.h"

namespace alignlab {
namespace {

// to[0 .. RoundUp(dim, 16)) = from[0 .. dim), then zeros.
template <class T>
void LoadHead(const T* from, int64_t dim, float* to) {
  for (int64_t k = 0; k < dim; k += kLanes)
    Store(to + k, k + kLanes <= dim ? LoadAs(from + k) : LoadPartialAs(from + k, int(dim - k)));
}

template <class T>
void StoreHeadAs(T* to, int64_t dim, const float* from) {
  for (int64_t k = 0; k < dim; k += kLanes) {
    if (k + kLanes <= dim)
      StoreAs(to + k, Load(from + k));
    else
      StorePartialAs(to + k, Load(from + k), int(dim - k));
  }
}

// 1 / sqrt(mean(x^2) + eps); x is zero above dim.
inline float HeadRstd(const float* x, int64_t dim, float eps) {
  Vec squares = Zero();
  for (int64_t k = 0; k < dim; k += kLanes) squares = Fma(Load(x + k), Load(x + k), squares);
  return 1.0f / __builtin_sqrtf(ReduceAdd(squares) / float(dim) + eps);
}

inline void NormalizeHead(float* x, int64_t dim, const float* weight, float eps) {
  const Vec rstd = Set1(HeadRstd(x, dim, eps));
  for (int64_t k = 0; k < dim; k += kLanes)
    Store(x + k, Mul(Mul(Load(x + k), rstd), LoadPartial(weight + k, int(dim - k))));
}

// Rotates each pair (i, i + half) by the angle of (cos, sin), or back when `sign` is -1.
inline void RotateHead(float* x, const float* cos, const float* sin, int64_t half, float sign) {
  const Vec direction = Set1(sign);
  const auto rotate = [direction](Vec* a, Vec* b, Vec c, Vec s) {
    s = Mul(s, direction);
    const Vec first = Sub(Mul(*a, c), Mul(*b, s));
    *b = Fma(*b, c, Mul(*a, s));
    *a = first;
  };
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) {
    Vec a = Load(x + i), b = Load(x + half + i);
    rotate(&a, &b, Load(cos + i), Load(sin + i));
    Store(x + i, a);
    Store(x + half + i, b);
  }
  const int n = int(half - i);
  if (!n) return;
  Vec a = LoadPartial(x + i, n), b = LoadPartial(x + half + i, n);
  rotate(&a, &b, LoadPartial(cos + i, n), LoadPartial(sin + i, n));
  StorePartial(x + i, a, n);
  StorePartial(x + half + i, b, n);
}

// The parts of a token's row of qkv, and its angles.
struct QkvRow {
  const QkvArgs& args;
  int64_t dim, half;
  const float *cos, *sin;

  QkvRow(const QkvArgs& a, int64_t token)
      : args(a), dim(a.head_dim), half(a.rotary_dim / 2), cos(nullptr), sin(nullptr) {
    if (!half) return;
    cos = a.rope_cos + a.positions[token] * half;
    sin = a.rope_sin + a.positions[token] * half;
  }
  template <class T>
  const T* Head(int64_t token, int64_t head) const {
    return static_cast<const T*>(args.qkv.data) + token * args.qkv.stride + head * dim;
  }
};

// Successive tokens whose slots follow each other in one panel of 16. Rows are read once, from end
// to end; the keys wait in `rows` (kv_heads, 16, RoundUp(dim, 16)) for their panel.
template <class T>
void QkvTokens(const QkvArgs& args, int64_t begin, int64_t count, float* rows) {
  const int64_t dim = args.head_dim, width = RoundUp(dim, kLanes);
  const int64_t heads = args.heads, kv_heads = args.kv_heads;
  const int64_t slot = args.kv_slot[begin], place = slot % kPage;
  float* page = args.kv.f32() + slot / kPage * args.kv.page_stride;
  float* x = rows + kv_heads * kLanes * width;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t token = begin + i;
    const QkvRow row(args, token);
    const auto load = [&](int64_t head, const float* norm, float* to) {
      LoadHead(row.Head<T>(token, head), dim, to);
      if (norm) NormalizeHead(to, dim, norm, args.norm_eps);
      RotateHead(to, row.cos, row.sin, row.half, 1);
    };
    for (int64_t h = 0; h < heads; ++h) {
      load(h, args.q_norm, x);
      StoreHeadAs(args.q.f32() + token * args.q.stride + h * dim, dim, x);
    }
    for (int64_t g = 0; g < kv_heads; ++g)
      load(heads + g, args.k_norm, rows + (g * kLanes + i) * width);
    for (int64_t g = 0; g < kv_heads; ++g) {
      LoadHead(row.Head<T>(token, heads + kv_heads + g), dim, x);
      StoreHeadAs(page + ((2 * g + 1) * kPage + place + i) * dim, dim, x);
    }
  }
  for (int64_t g = 0; g < kv_heads; ++g) {
    float* panel = page + (2 * g * kPage + place / kLanes * kLanes) * dim;
    Transpose(rows + g * kLanes * width, width, count, dim, panel + place % kLanes, kLanes);
  }
}

inline int64_t Chunks(int64_t n, int64_t size) { return (n + size - 1) / size; }

void Qkv(void* device, const QkvArgs& args) {
  const int64_t count = args.qkv.rows;
  ParallelFor(device, Chunks(count, kLanes), [&](int64_t chunk, Worker& worker) {
    const int64_t floats = (args.kv_heads * kLanes + 1) * RoundUp(args.head_dim, kLanes);
    auto* rows = static_cast<float*>(worker.Scratch(size_t(floats) * 4));
    const int64_t stop = (chunk + 1) * kLanes < count ? (chunk + 1) * kLanes : count;
    for (int64_t begin = chunk * kLanes, end; begin < stop; begin = end) {
      end = begin + 1;
      while (end < stop && args.kv_slot[end] == args.kv_slot[end - 1] + 1 &&
             args.kv_slot[end] % kLanes != 0)
        ++end;
      if (args.qkv.dtype == DType::kF32)
        QkvTokens<float>(args, begin, end - begin, rows);
      else
        QkvTokens<uint16_t>(args, begin, end - begin, rows);
    }
  });
}

// y = x rstd w, x zero above dim:  dx = rstd (w dy) - x rstd^3 mean(w dy x),  dw += dy x rstd.
// dx replaces dy.
inline void NormalizeHeadBackward(float* d_y, const float* x, int64_t dim, const float* weight,
                                  float eps, float* d_weight) {
  const float rstd = HeadRstd(x, dim, eps);
  const Vec scale = Set1(rstd);
  Vec dot = Zero();
  for (int64_t k = 0; k < dim; k += kLanes) {
    const Vec dy = Load(d_y + k), normal = Mul(Load(x + k), scale);
    const Vec scaled = Mul(dy, LoadPartial(weight + k, int(dim - k)));
    Store(d_weight + k, Fma(dy, normal, Load(d_weight + k)));
    Store(d_y + k, scaled);
    dot = Fma(scaled, normal, dot);
  }
  const Vec mean = Set1(ReduceAdd(dot) / float(dim));
  for (int64_t k = 0; k < dim; k += kLanes) {
    const Vec normal = Mul(Load(x + k), scale);
    Store(d_y + k, Mul(Sub(Load(d_y + k), Mul(normal, mean)), scale));
  }
}

// d_norm: sums over this chunk for q, then for k, RoundUp(dim, 16) each.
template <class T>
void QkvTokenBackward(const QkvBackwardArgs& args, int64_t token, float* d_norm, float* scratch) {
  const QkvArgs& f = args.forward;
  const QkvRow row(f, token);
  const int64_t dim = row.dim, width = RoundUp(dim, kLanes);
  float *d_x = scratch, *x = scratch + width;
  T* d_row = static_cast<T*>(args.d_qkv.data) + token * args.d_qkv.stride;
  const auto head = [&](const Tensor& from, int64_t index, int64_t column, bool rotated,
                        const float* weight, float* d_weight) {
    LoadHead(from.f32() + token * from.stride + index * dim, dim, d_x);
    if (rotated) RotateHead(d_x, row.cos, row.sin, row.half, -1);
    if (weight) {
      LoadHead(row.Head<T>(token, column), dim, x);
      NormalizeHeadBackward(d_x, x, dim, weight, f.norm_eps, d_weight);
    }
    StoreHeadAs(d_row + column * dim, dim, d_x);
  };
  for (int64_t h = 0; h < f.heads; ++h) head(args.d_q, h, h, true, f.q_norm, d_norm);
  for (int64_t g = 0; g < f.kv_heads; ++g) {
    head(args.d_k, g, f.heads + g, true, f.k_norm, d_norm + width);
    head(args.d_v, g, f.heads + f.kv_heads + g, false, nullptr, nullptr);
  }
}

// Sums for the norms' weights: over the tokens of a chunk, then over chunks, both ascending.
void QkvBackward(void* device, const QkvBackwardArgs& args) {
  constexpr int64_t kTokens = 64;
  const QkvArgs& f = args.forward;
  const int64_t count = f.qkv.rows, chunks = Chunks(count, kTokens);
  const int64_t dim = f.head_dim, width = RoundUp(dim, kLanes);
  const CallMemory partial(size_t(chunks * 2 * width) * 4);
  auto* sums = static_cast<float*>(partial.data());
  ParallelFor(device, chunks, [&](int64_t chunk, Worker& worker) {
    auto* scratch = static_cast<float*>(worker.Scratch(size_t(2 * width) * 4));
    float* d_norm = sums + chunk * 2 * width;
    for (int64_t k = 0; k < 2 * width; ++k) d_norm[k] = 0;
    const int64_t begin = chunk * kTokens;
    const int64_t end = begin + kTokens < count ? begin + kTokens : count;
    for (int64_t token = begin; token < end; ++token) {
      if (f.qkv.dtype == DType::kF32)
        QkvTokenBackward<float>(args, token, d_norm, scratch);
      else
        QkvTokenBackward<uint16_t>(args, token, d_norm, scratch);
    }
  });
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const float* d_norm = sums + chunk * 2 * width;
    for (int64_t k = 0; k < dim; ++k) {
      if (f.q_norm && args.d_q_norm) args.d_q_norm[k] += d_norm[k];
      if (f.k_norm && args.d_k_norm) args.d_k_norm[k] += d_norm[width + k];
    }
  }
}

}  // namespace
}  // namespace alignlab
