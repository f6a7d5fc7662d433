// The interface between the model and a device: a table of operations over plain views, with an
// ABI number so that a backend in a library of its own (CUDA) can be refused when it is of
// another build. Each operation is defined by plain loops in native/reference/.
//
// What every operation promises (ARCHITECTURE.md, "Exactness"): a value that belongs to one row
// depends on that row's inputs alone, bit for bit, whatever else is in the call and whatever the
// number of threads. Sums over rows (weight gradients) run in one fixed order.
//
// Memory. Tensors, weights and every float* lie in memory of the device, which `memory` hands out.
// Arrays of indices and of coefficients lie in the host's: ids, targets, positions, kv_slot,
// segments with their pages, runs, rows, d_logprob, d_entropy, and all of SampleArgs but the logits
// and lse. They may be given back as soon as the call has returned; kernels may still be running
// then, and whatever copies out waits for them. On the CPU both are the same memory.
//
// Letters: T tokens in the batch, R scored rows, D model width, F MLP width, H query heads,
// G key/value heads, K head dimension, V vocabulary, P panel width. "dtype" is the model's
// compute type, f32 or bf16; whatever is called f32 is f32 in both.
#pragma once

#include "backend/tensor.h"

namespace alignlab {

struct ControlOperations;

constexpr uint32_t kBackendAbi = 9;
constexpr int64_t kPage = 64;  // tokens in one page of keys and values, counted from segment start

// out[r] (+)= table[ids[r]].  table: dtype, (V, D), in panels when `panels`, else row-major.
struct EmbedArgs {
  const int32_t* ids;
  int64_t count;
  Weight table;
  bool panels;
  bool accumulate;
  Tensor out;  // f32 (count, D)
};
// d_table[ids[r]] += d_out[r], rows ascending.  d_table: f32, laid out as the table is.
struct EmbedBackwardArgs {
  const int32_t* ids;
  int64_t count;
  Tensor d_out;  // f32 (count, D)
  Weight d_table;
  bool panels;
};

enum class NormKind : int32_t { kRms = 0, kLayer = 1 };
// rms:   y = x * rstd * weight,           rstd = 1 / sqrt(mean(x^2) + eps)
// layer: y = (x - mean) * rstd * weight + bias
struct NormArgs {
  NormKind kind;
  Tensor x;             // f32 (rows, cols)
  const float* weight;  // (cols)
  const float* bias;    // (cols), layer norm only, else null
  float eps;
  Tensor y;      // dtype or f32 (rows, cols)
  float* stats;  // (rows, 2): mean (0 for rms), rstd; null when no backward follows
};
struct NormBackwardArgs {
  NormKind kind;
  Tensor d_y;  // f32 (rows, cols)
  Tensor x;    // f32
  const float* weight;
  const float* stats;
  Tensor d_x;       // f32; added to
  float* d_weight;  // (cols), added to; null when the model is not trained
  float* d_bias;    // (cols) or null, added to
};

// y = x W^T + bias (+ y when `accumulate`, y f32).  x: dtype of the weight (T, in);
// y: f32 or bf16 (T, out); bias: f32 (out) or null.
struct LinearArgs {
  Tensor x;
  Weight weight;
  const float* bias;
  Tensor y;
  bool accumulate;
};
// d_x = d_y W (+ d_x when `accumulate`).  d_y: dtype of the weight (T, out); d_x: f32 (T, in).
struct LinearInputGradArgs {
  Tensor d_y;
  Weight weight;
  Tensor d_x;
  bool accumulate;
};
// d_weight += d_y^T x,  d_bias += column sums of d_y, tokens ascending.
// d_y (T, out) and x (T, in): the same dtype.  d_weight: f32 panels.  d_bias: (out) or null.
struct LinearWeightGradArgs {
  Tensor d_y;
  Tensor x;
  Weight d_weight;
  float* d_bias;
};

// How a backend keeps keys and values: their dtype, and the panel of the keys.
struct KvLayout {
  DType dtype = DType::kF32;
  int32_t key_panel = 16;
};
// Keys and values of one layer, in pages of kPage tokens; one segment's page holds its tokens
// p*kPage .. p*kPage+kPage-1. Inside a page, per key/value head g (G * 2 * kPage * K elements):
//   keys   at (2g)   * kPage * K, in panels of P = key_panel tokens: ((t / P) * K + k) * P + t % P
//   values at (2g+1) * kPage * K, row-major: t * K + k
struct KvPages {
  void* data;           // of this layer
  int64_t page_stride;  // elements from a page to the next
  int32_t kv_heads, head_dim;
  KvLayout layout = {};

  float* f32() const { return static_cast<float*>(data); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data); }
};

// The identity of a batch's index arrays: calls with the same number have the same positions,
// kv_slot, segments, pages and runs, so that a device may keep its copy of them. 0: unknown.
using BatchId = uint64_t;

// Splits the projection qkv: (T, (H + 2G) K) into q, k, v; normalises q and k per head (Qwen3)
// when q_norm is given; rotates the first rotary_dim values of each head of q and k by the angle
// of the token's position (halves convention: (i, i + rotary_dim/2) is a pair); stores q, and
// writes k and v into the pages. rotary_dim 0: no rotation.
struct QkvArgs {
  Tensor qkv;  // dtype (T, (H + 2G) K)
  int32_t heads, kv_heads, head_dim, rotary_dim;
  const float* rope_cos;  // (max position, rotary_dim / 2)
  const float* rope_sin;
  const int32_t* positions;  // (T)
  const float* q_norm;       // (K) or null
  const float* k_norm;       // (K) or null
  float norm_eps;
  Tensor q;                // of the dtype of the pages, (T, H K)
  const int64_t* kv_slot;  // (T): page * kPage + place in the page
  KvPages kv;
  BatchId batch = 0;
};
// The way back: from d_q (T, H K), d_k, d_v (T, G K), all f32, to d_qkv (dtype). d_q_norm and
// d_k_norm are added to, tokens ascending. `forward.q`, kv and kv_slot are not read.
struct QkvBackwardArgs {
  QkvArgs forward;
  Tensor d_q, d_k, d_v;
  Tensor d_qkv;     // dtype (T, (H + 2G) K)
  float* d_q_norm;  // (K) or null
  float* d_k_norm;
};

// A segment of the forest as attention sees it.
struct AttentionSegment {
  int32_t parent;        // index, or -1
  int32_t position;      // of its first token, counted along the path from the root
  int32_t length;        // tokens that exist (in decoding: so far, the new ones included)
  int64_t row;           // of its first token in this batch, -1 when its tokens are only cached
  const int32_t* pages;  // ceil(length / kPage) page numbers
};
// `count` successive query tokens of one segment, `offset` from the segment's start, whose rows
// in q and out start at `row`.
struct QueryRun {
  int32_t segment, offset, count;
  int64_t row;
};
// out[t, h] = sum_j softmax_j(scale * q[t,h] . k[j, h / (H/G)]) v[j], j over the tokens of all
// ancestors and its own segment's up to itself. Scores are laid out and summed by position along
// the path: the result does not depend on where the path is cut into segments.
struct AttentionArgs {
  Tensor q;  // of the dtype of the pages, (T, H K)
  KvPages kv;
  int32_t heads;
  float scale;
  const AttentionSegment* segments;
  int64_t segment_count;
  const QueryRun* runs;
  int64_t run_count;
  Tensor out;  // dtype (T, H K)
  float* lse;  // (T, H) log-sum-exp of the scaled scores; null when no backward follows
  BatchId batch = 0;
};
// Every token of the batch is a query and a key here (runs cover whole segments), and parents stand
// before their children.
struct AttentionBackwardArgs {
  AttentionArgs forward;  // q, kv, out and lse as the forward pass left them
  Tensor d_out;           // f32 (T, H K)
  Tensor d_q;             // f32 (T, H K), overwritten
  Tensor d_k, d_v;        // f32 (T, G K), overwritten
};

enum class Activation : int32_t { kSiluGated = 0, kGeluTanh = 1, kGeluErf = 2, kGeluTanhGated = 3 };
constexpr bool IsGated(Activation a) {
  return a == Activation::kSiluGated || a == Activation::kGeluTanhGated;
}
// gated: x (T, 2F), out = act(x[:, :F]) * x[:, F:];  else x (T, F), out = act(x).  dtype both.
struct ActivationArgs {
  Activation kind;
  Tensor x;
  Tensor out;  // (T, F)
};
struct ActivationBackwardArgs {
  Activation kind;
  Tensor x;
  Tensor d_out;  // f32 (T, F)
  Tensor d_x;    // dtype, shape of x
};

// `linear` and `activation` as one: up = x W^T + bias, out = act(up).
struct LinearActivationArgs {
  Activation kind;
  Tensor x;           // dtype of the weight (T, in)
  Weight weight;      // (F or 2F, in)
  const float* bias;  // or null
  Tensor up;          // dtype (T, F or 2F); data == null: nobody reads it
  Tensor out;         // dtype (T, F)
};
// `linear_input_grad`, of a layer that reads an activation, and `activation_backward` as one, and
// that activation once more: d_up from d_out = d_y W, which is not stored, and out = act(up).
struct LinearInputGradActivationArgs {
  Activation kind;
  Tensor d_y;     // dtype of the weight (T, D)
  Weight weight;  // (D, F)
  Tensor up;      // dtype (T, F or 2F)
  Tensor out;     // dtype (T, F)
  Tensor d_up;    // dtype, shape of up
};

// Log-probability and entropy under softmax(hidden W^T), over slabs of the vocabulary; (R, V) is
// never stored unless `logits` is given (decoding asks for it, a few rows).
// lse[r] = log sum_v exp z;  logprob[r] = z[target] - lse;  entropy[r] = lse - sum_v p z.
struct HeadArgs {
  Tensor hidden;           // dtype of the weight (R, D)
  Weight weight;           // (V, D)
  const int32_t* targets;  // (R) or null: then no logprob
  float* logprob;          // (R) or null
  float* entropy;          // (R) or null
  float* lse;              // (R)
  Tensor logits;           // f32 (R, V), or data == null
};
// dz[v] = d_logprob (1[v = target] - p[v]) - d_entropy p[v] (log p[v] + entropy), from recomputed
// logits, slab by slab; rows whose coefficients are zero cost what others cost.
struct HeadBackwardArgs {
  HeadArgs forward;        // lse as the forward pass left it; entropy too when d_entropy is given
  const float* d_logprob;  // (R)
  const float* d_entropy;  // (R) or null
  Tensor d_hidden;         // f32 (R, D), overwritten
  Weight d_weight;         // f32 panels, added to; data == null when the model is not trained
};
// kl[r] = sum_v p (log p - log q), p = softmax(hidden_p Wp^T), q likewise; exact, over slabs.
struct HeadKlArgs {
  Tensor hidden_p, hidden_q;  // (R, Dp), (R, Dq)
  Weight weight_p, weight_q;  // (V, Dp), (V, Dq): the same V
  float* kl;                  // (R)
};

// How one row's token is drawn. The ranges index the arrays of SampleArgs.
struct SampleRow {
  float temperature;  // 0: the most probable token, the lowest id on a tie
  int32_t top_k;      // 0: all
  float top_p;        // 1: all
  float min_p;        // 0: all
  float repetition_penalty, presence_penalty, frequency_penalty;  // 1, 0, 0: none
  int64_t seen_begin, seen_end;                                   // the sequence's distinct tokens
  int64_t banned_begin, banned_end;
  double uniform;  // in [0, 1), the row's random number
};
// Draws token[r] from the logits after, in this order: repetition penalty (seen: z < 0 ? z p :
// z / p), presence and frequency penalties (z -= presence + frequency * count, where count > 0),
// banned tokens, temperature, top-k, top-p, min-p. Of equal logits lower ids are kept first.
// token -1: the logits hold NaN or every token is banned. Temperature 0 skips the filters.
struct SampleArgs {
  Tensor logits;     // f32 (R, V)
  Tensor draw_from;  // f32 (R, V): logits to draw from in place of `logits`; or data == null
  const float* lse;  // (R), as Head left it
  const SampleRow* rows;
  const int32_t* seen;         // token ids
  const int32_t* seen_counts;  // how often among the generated tokens; 0: in the prompt only
  const int32_t* banned;       // token ids
  int32_t* token;
  float* logprob;            // z[token] - lse: the bits that scoring returns
  float* processed_logprob;  // under the distribution that the token was drawn from
};

// AdamW with decoupled decay (Loshchilov & Hutter 2019), on n floats. The gradient is first
// multiplied by grad_scale (the clip). w -= lr * (decay * w + m^ / (sqrt(v^) + eps)).
// The gradient is zero afterwards: a pass over memory of its own would cost as much as the step.
struct AdamWArgs {
  float* w;
  float* g;
  float* m;
  float* v;
  int64_t n;
  float lr, beta1, beta2, eps, weight_decay, grad_scale;
  float bias1, bias2;  // 1 - beta1^step, 1 - beta2^step
};

// A bf16 parameter as it is stored: `high` is the bf16 form that the products read (a Weight, or a
// row-major table), and with `low`, laid out alike, it is the f32 master:
//   bits(master) = (high << 16) + int16(low)
// high is the master rounded to nearest, ties away from zero. low is null in frozen models.
struct SplitWeight {
  uint16_t* high;
  uint16_t* low;
  int64_t rows, cols;
  bool panels;
};

struct Operations {
  void (*embed)(void* device, const EmbedArgs&);
  void (*embed_backward)(void* device, const EmbedBackwardArgs&);
  void (*norm)(void* device, const NormArgs&);
  void (*norm_backward)(void* device, const NormBackwardArgs&);
  void (*linear)(void* device, const LinearArgs&);
  void (*linear_input_grad)(void* device, const LinearInputGradArgs&);
  void (*linear_weight_grad)(void* device, const LinearWeightGradArgs&);
  void (*qkv)(void* device, const QkvArgs&);
  void (*qkv_backward)(void* device, const QkvBackwardArgs&);
  void (*attention)(void* device, const AttentionArgs&);
  void (*attention_backward)(void* device, const AttentionBackwardArgs&);
  void (*activation)(void* device, const ActivationArgs&);
  void (*activation_backward)(void* device, const ActivationBackwardArgs&);
  void (*head)(void* device, const HeadArgs&);
  void (*head_backward)(void* device, const HeadBackwardArgs&);
  void (*head_kl)(void* device, const HeadKlArgs&);
  void (*sample)(void* device, const SampleArgs&);
  void (*adamw)(void* device, const AdamWArgs&);
  void (*adamw_split)(void* device, const AdamWArgs&, SplitWeight);  // `w` and `n` are not read
  // dst = src, f32 <-> bf16 (nearest even) or a plain copy, row by row.
  void (*convert)(void* device, Tensor src, Tensor dst);
  // dst[i] = src[rows[i]]  /  dst[rows[i]] += src[i], i ascending; all f32.
  void (*gather_rows)(void* device, Tensor src, const int64_t* rows, Tensor dst);
  void (*scatter_add_rows)(void* device, Tensor src, const int64_t* rows, Tensor dst);
  // Between the flat f32 layout and the split form.
  void (*split_weights)(void* device, const float* flat, SplitWeight to);
  void (*join_weights)(void* device, SplitWeight from, float* flat);
  // Sum of squares in double, over fixed chunks: the same for any number of threads.
  double (*sum_squares)(void* device, const float* x, int64_t n);
  // y = a * x + b * y
  void (*axpby)(void* device, float a, const float* x, float b, float* y, int64_t n);
  // Multiply-adds on registers alone, on all threads; returns how many operations: the ruler.
  int64_t (*burn)(void* device, DType dtype, int64_t rounds);

  // Two operations as one, where a device saves the way through memory between them. False: it has
  // no such kernel for these, nothing was written, and the caller asks for the two. Null: never.
  bool (*linear_activation)(void* device, const LinearActivationArgs&);
  bool (*linear_input_grad_activation)(void* device, const LinearInputGradActivationArgs&);
};

// Memory of the device, and copies, in the order of the operations.
struct MemoryOperations {
  bool host;  // the CPU may read and write it: it is the host's
  // Zeroed, 64-byte aligned; null when there is not so much.
  void* (*allocate)(void* device, size_t bytes);
  void (*release)(void* device, void* data, size_t bytes);  // never throws
  void (*zero)(void* device, void* data, size_t bytes);
  void (*copy)(void* device, void* to, const void* from, size_t bytes);
  void (*copy_in)(void* device, void* to, const void* from_host, size_t bytes);
  void (*copy_out)(void* device, void* to_host, const void* from, size_t bytes);  // waits
};

// Many short operations started as one (a decoding step as a CUDA graph). From `begin` on, which is
// told how many branches there will be, operations and the memory's zero and copy are noted. `run`
// starts them; where they give something to the host it waits for them and only then writes it, and
// the host's arrays that are written must stay until then, those that are read need not. Meanwhile
// allocate, release and copy_in act at once, before all that is noted, and copy_out and
// sum_squares, which wait, must not be called. `end` forgets what was noted and has not run. Null
// where operations start in no time (the CPU).
struct StepOperations {
  void (*begin)(void* device, int32_t branches);
  // What is noted from here on belongs to this branch, 0 at first. Operations of one branch run in
  // order, those of different ones at the same time, so these must not touch the same memory. Where
  // all branches do the same on other memory, they run as one.
  void (*branch)(void* device, int32_t number);
  void (*run)(void* device);
  void (*end)(void* device);
};

struct Backend {
  uint32_t abi;
  const char* name;     // "cpu", "cuda"
  const char* variant;  // instruction set or architecture, e.g. "avx512bf16", "sm_90"
  int64_t panel;        // P
  bool exact;           // keeps the promise above: a row's bits do not depend on its batch
  Operations ops;
  MemoryOperations memory;
  StepOperations steps;
  // Keys and values in a model's compute type: that type where the device multiplies it itself.
  bool kv_in_compute_type;
  int32_t key_panel;
  int32_t max_head_dim;              // 0: any
  const ControlOperations* control;  // control_operations.h
  void* device;                      // first argument of every operation

  KvLayout KvLayoutOf(DType compute) const {
    return {kv_in_compute_type ? compute : DType::kF32, key_panel};
  }
};

}  // namespace alignlab
