// The element-wise operations of the control learners (native/control/), a table beside the model's
// (backend.h) and compiled like it once per instruction set. Each is defined by plain loops in
// native/reference/control.h. What a value of one row is depends on that row alone.
#pragma once

#include "backend/philox.h"
#include "backend/tensor.h"

namespace alignlab {

// Numbers of the stream (key, purpose) of one step. Number i comes from block 16 (i / 64) + i % 16
// of the stream, counter {block, step, step >> 32, purpose}, by quarter q = (i % 64) / 16:
//   uniform: (word[q] / 2^8 rounded down + 1/2) / 2^24, in (0, 1]
//   normal:  sqrt(-2 ln u) (cos or sin)(2 pi v), u and v the uniforms of words 0 and 1 (q = 0, 1)
//            or 2 and 3 (q = 2, 3); cos for even q      (Box & Muller 1958)
struct RandomArgs {
  uint64_t key;
  uint64_t step;
  uint32_t purpose;
  float* out;
  int64_t n;
};

// Adam (Kingma & Ba 2015) without weight decay, and the slow copy that follows it:
//   m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  w -= lr (m / bias1) / (sqrt(v / bias2) + eps)
//   target += rate (w - target)                                   (when target is given)
// Moments smaller than 1e-30 become 0: units that no longer fire would otherwise decay into
// denormals, which are slow, and at 1e-30 they move nothing. The gradient is zero afterwards.
struct AdamArgs {
  float *w, *g, *m, *v;
  float* target;  // null: none
  int64_t n;
  float lr, beta1, beta2, eps, bias1, bias2, rate;
};

// The squashed Gaussian policy (Haarnoja et al. 2018, appendix C) from the network's outputs
// (mean | s), A columns each:
//   log_std = clamp(scale s + shift, -20, 2);  u = mean + e^log_std noise;  action = tanh u
//   log_prob = sum_j -noise^2 / 2 - log_std - ln(2 pi) / 2 - 2 (ln 2 - u - softplus(-2 u))
// `fan` actions are drawn from each row of outputs: row r of noise, action and log_prob belongs to
// row r / fan of the outputs.
struct SquashArgs {
  Tensor outputs;      // f32 (rows, 2A)
  const float* noise;  // (rows * fan, A); null: action = tanh(mean), and log_prob is not written
  float scale, shift;
  int64_t fan;
  Tensor action;    // f32 (rows * fan, A)
  float* log_prob;  // (rows * fan) or null
  float* std_dev;   // (rows * fan, A): e^log_std, or null
};

struct ControlOperations {
  void (*uniforms)(void* device, const RandomArgs&);
  void (*normals)(void* device, const RandomArgs&);
  void (*adam)(void* device, const AdamArgs&);
  void (*squash)(void* device, const SquashArgs&);
  void (*relu)(void* device, Tensor y);                                 // y = max(y, 0)
  void (*relu_backward)(void* device, Tensor y, Tensor d);              // d = y > 0 ? d : 0
  void (*scaled_tanh)(void* device, float scale, float* x, int64_t n);  // x = scale tanh(x)
};

}  // namespace alignlab
