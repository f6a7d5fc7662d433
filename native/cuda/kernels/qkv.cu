// Qkv, QkvBackward. A warp works on one head of one token: lane i has elements i, i + 32, ...; the
// pairs that are rotated meet in shared memory.
#include "cuda/column_sum.h"
#include "cuda/columns.h"
#include "cuda/operations.h"
#include "error.h"

namespace alignlab::cuda {

namespace {

constexpr int kWarps = 4;
constexpr int kMaxHead = 256, kMaxPerLane = kMaxHead / kWarp;

// The parts of a call that both ways need; heads are counted over q, k, v.
struct QkvView {
  int32_t heads, kv_heads, head_dim, half;  // half: of the rotated elements
  const float* cos;
  const float* sin;
  const int32_t* positions;  // null when nothing is rotated
  const float* q_norm;
  const float* k_norm;
  float eps;
  int64_t tokens;

  __device__ int32_t AllHeads() const { return heads + 2 * kv_heads; }
  __device__ bool IsValue(int32_t head) const { return head >= heads + kv_heads; }
  __device__ const float* NormOf(int32_t head) const {
    return head < heads ? q_norm : IsValue(head) ? nullptr : k_norm;
  }
};

// A head's elements, of the warp that calls.
struct WarpHead {
  float* x;  // (kMaxHead), shared by the warp
  int dim, lane;

  template <class Body>
  __device__ void Each(const Body& body) const {
    for (int k = lane; k < dim; k += kWarp) body(k);
  }
  // 1 / sqrt(mean(x^2) + eps)
  __device__ float Rstd(float eps) const {
    float squares = 0;
    Each([&](int k) { squares = Fma(x[k], x[k], squares); });
    return Divide(1.0f, Sqrt(Divide(WarpSum(squares), float(dim)) + eps));
  }
  // (a, b) -> (a cos - b sin, b cos + a sin) for the pairs (i, i + half), or back when sign is -1.
  // Other lanes' elements are read: callers let the warp meet before.
  __device__ void Rotate(const QkvView& view, int64_t token, float sign) const {
    const int half = view.half;
    if (half == 0) return;
    const int64_t angles = int64_t(view.positions[token]) * half;
    for (int i = lane; i < half; i += kWarp) {
      const float c = view.cos[angles + i], s = sign * view.sin[angles + i];
      const float a = x[i], b = x[i + half];
      x[i] = a * c - b * s;
      x[i + half] = Fma(b, c, a * s);
    }
    SyncWarp();
  }
};

// Element k of the key, or of the value, of head g in a slot.
__device__ inline int64_t KeyIndex(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  const int64_t t = slot % kPage, dim = kv.head_dim, panel = kv.layout.key_panel;
  return slot / kPage * kv.page_stride + 2 * g * kPage * dim + ((t / panel) * dim + k) * panel +
         t % panel;
}
__device__ inline int64_t ValueIndex(const KvPages& kv, int64_t slot, int64_t g, int64_t k) {
  const int64_t t = slot % kPage, dim = kv.head_dim;
  return slot / kPage * kv.page_stride + (2 * g + 1) * kPage * dim + t * dim + k;
}

template <class T, class Kv>
__global__ void SplitHeads(QkvView view, const T* qkv, int64_t stride, Kv* q, int64_t q_stride,
                           KvPages pages, const int64_t* slots) {
  __shared__ float memory[kWarps][kMaxHead];
  const int warp = int(threadIdx.x) / kWarp;
  const int64_t item = int64_t(blockIdx.x) * kWarps + warp, token = item / view.AllHeads();
  if (token >= view.tokens) return;
  const auto head = int32_t(item % view.AllHeads());
  const WarpHead h{memory[warp], view.head_dim, int(threadIdx.x) % kWarp};
  const T* from = qkv + token * stride + head * h.dim;
  h.Each([&](int k) { h.x[k] = LoadElement(from + k); });
  if (const float* norm = view.NormOf(head)) {
    const float rstd = h.Rstd(view.eps);
    h.Each([&](int k) { h.x[k] = h.x[k] * rstd * norm[k]; });
  }
  SyncWarp();
  if (!view.IsValue(head)) h.Rotate(view, token, 1);
  if (head < view.heads) {
    Kv* to = q + token * q_stride + head * h.dim;
    h.Each([&](int k) { StoreElement(to + k, h.x[k]); });
    return;
  }
  const bool value = view.IsValue(head);
  const int64_t g = head - view.heads - (value ? view.kv_heads : 0), slot = slots[token];
  Kv* to = static_cast<Kv*>(pages.data);
  h.Each([&](int k) {
    StoreElement(to + (value ? ValueIndex(pages, slot, g, k) : KeyIndex(pages, slot, g, k)),
                 h.x[k]);
  });
}

struct Gradients {
  const float* d_q;
  const float* d_k;
  const float* d_v;
  int64_t q_stride, k_stride, v_stride;

  __device__ const float* Of(const QkvView& view, int64_t token, int32_t head) const {
    const int64_t dim = view.head_dim;
    if (head < view.heads) return d_q + token * q_stride + head * dim;
    const int64_t g = head - view.heads;
    return view.IsValue(head) ? d_v + token * v_stride + (g - view.kv_heads) * dim
                              : d_k + token * k_stride + g * dim;
  }
};

// y = x rstd w:  dx = rstd (w dy - x rstd mean(w dy x rstd)),  dw += dy x rstd.  h.x holds dy, and
// dx afterwards.
template <class T>
__device__ inline void NormalizeBackward(const WarpHead& h, const T* from, const float* norm,
                                         float eps, float (&d_norm)[kMaxPerLane]) {
  float x[kMaxPerLane], squares = 0, dot = 0;
  for (int j = 0; j < kMaxPerLane; ++j) {
    const int k = h.lane + kWarp * j;
    x[j] = k < h.dim ? LoadElement(from + k) : 0.0f;
    squares = Fma(x[j], x[j], squares);
  }
  const float rstd = Divide(1.0f, Sqrt(Divide(WarpSum(squares), float(h.dim)) + eps));
  for (int j = 0; j < kMaxPerLane; ++j) {
    const int k = h.lane + kWarp * j;
    if (k >= h.dim) continue;
    const float d_y = h.x[k], normal = x[j] * rstd, scaled = d_y * norm[k];
    d_norm[j] = Fma(d_y, normal, d_norm[j]);
    dot = Fma(scaled, normal, dot);
    h.x[k] = scaled;
  }
  const float mean = Divide(WarpSum(dot), float(h.dim));
  for (int j = 0; j < kMaxPerLane; ++j) {
    const int k = h.lane + kWarp * j;
    if (k < h.dim) h.x[k] = (h.x[k] - x[j] * rstd * mean) * rstd;
  }
}

// blockIdx.x: a part of the tokens, blockIdx.y: a head; warps take tokens in turn. Sums of d_norm
// over the part, (head_dim) each: parts[p, head].
template <class T>
__global__ void JoinHeads(QkvView view, const T* qkv, int64_t stride, Gradients d, T* d_qkv,
                          int64_t d_stride, int64_t part, float* parts) {
  __shared__ float memory[kWarps][kMaxHead];
  const int warp = int(threadIdx.x) / kWarp;
  const auto head = int32_t(blockIdx.y);
  const WarpHead h{memory[warp], view.head_dim, int(threadIdx.x) % kWarp};
  const float* norm = view.NormOf(head);
  const int64_t begin = int64_t(blockIdx.x) * part;
  const int64_t end = begin + part < view.tokens ? begin + part : view.tokens;
  float d_norm[kMaxPerLane] = {};
  for (int64_t token = begin + warp; token < end; token += kWarps) {
    const float* from = d.Of(view, token, head);
    h.Each([&](int k) { h.x[k] = from[k]; });
    SyncWarp();
    if (!view.IsValue(head)) h.Rotate(view, token, -1);
    if (norm) NormalizeBackward(h, qkv + token * stride + head * h.dim, norm, view.eps, d_norm);
    T* to = d_qkv + token * d_stride + head * h.dim;
    h.Each([&](int k) { StoreElement(to + k, h.x[k]); });
  }
  if (!norm) return;
  for (int j = 0; j < kMaxPerLane; ++j)
    if (h.lane + kWarp * j < h.dim) h.x[h.lane + kWarp * j] = d_norm[j];
  __syncthreads();
  for (int k = int(threadIdx.x); k < h.dim; k += kWarps * kWarp) {
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += memory[w][k];
    parts[(int64_t(blockIdx.x) * view.AllHeads() + head) * h.dim + k] = sum;
  }
}

QkvView ViewOf(Operation& op, const QkvArgs& args) {
  Check(args.head_dim <= kMaxHead, "head_dim of the CUDA backend");
  const bool rotated = args.rotary_dim > 0;
  const int64_t tokens = args.qkv.rows;
  return {args.heads,
          args.kv_heads,
          args.head_dim,
          args.rotary_dim / 2,
          args.rope_cos,
          args.rope_sin,
          rotated ? op->StageBatch(BatchArray::kPositions, args.batch, args.positions, tokens)
                  : nullptr,
          args.q_norm,
          args.k_norm,
          args.norm_eps,
          tokens};
}

// The norm's weights belong to all heads of q, or of k, and sums go over heads and parts.
void AddNormGrads(Operation& op, const QkvBackwardArgs& args, const float* parts, int64_t count) {
  const QkvArgs& f = args.forward;
  const int64_t dim = f.head_dim, row = (f.heads + 2 * f.kv_heads) * dim;
  auto* sums = op->Scratch<float>(row);
  op->Zero(sums, size_t(row) * sizeof(float));
  AddColumnSums(op.device(), parts, count, (f.heads + f.kv_heads) * dim, row, sums);
  if (f.q_norm && args.d_q_norm) AddColumnSums(op.device(), sums, f.heads, dim, dim, args.d_q_norm);
  if (f.k_norm && args.d_k_norm)
    AddColumnSums(op.device(), sums + f.heads * dim, f.kv_heads, dim, dim, args.d_k_norm);
}

}  // namespace

void Qkv(void* device, const QkvArgs& args) {
  Operation op(device);
  const QkvView view = ViewOf(op, args);
  const int64_t heads = args.heads + 2 * args.kv_heads;
  const int64_t* slots = op->StageBatch(BatchArray::kSlots, args.batch, args.kv_slot, view.tokens);
  WithElements(args.qkv, [&](auto* qkv) {
    WithElements(args.q, [&](auto* q) {
      using T = std::remove_pointer_t<decltype(qkv)>;
      using Kv = std::remove_pointer_t<decltype(q)>;
      Launch(op.device(), SplitHeads<T, Kv>, {CeilDiv(view.tokens * heads, kWarps)}, kWarps * kWarp,
             0, view, qkv, args.qkv.stride, q, args.q.stride, args.kv, slots);
    });
  });
}

void QkvBackward(void* device, const QkvBackwardArgs& args) {
  Operation op(device);
  const QkvArgs& f = args.forward;
  const QkvView view = ViewOf(op, f);
  // Enough parts for all multiprocessors; more would only cost the second stage time.
  constexpr int64_t kParts = 128, kLeastPart = 16;
  const int64_t share = CeilDiv(view.tokens, kParts);
  const int64_t part = share > kLeastPart ? share : kLeastPart;
  const int64_t count = CeilDiv(view.tokens, part), heads = f.heads + 2 * f.kv_heads;
  if (count == 0) return;
  auto* parts = op->Scratch<float>(count * heads * f.head_dim);
  const Gradients d{args.d_q.f32(),  args.d_k.f32(),  args.d_v.f32(),
                    args.d_q.stride, args.d_k.stride, args.d_v.stride};
  WithElements(f.qkv, [&](auto* qkv) {
    using T = std::remove_pointer_t<decltype(qkv)>;
    Launch(op.device(), JoinHeads<T>, {count, heads}, kWarps * kWarp, 0, view, qkv, f.qkv.stride, d,
           static_cast<T*>(args.d_qkv.data), args.d_qkv.stride, part, parts);
  });
  if (f.q_norm || f.k_norm) AddNormGrads(op, args, parts, count);
}

}  // namespace alignlab::cuda
