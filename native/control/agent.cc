// The soft actor-critic agent (Haarnoja et al. 2018): a tanh-Gaussian policy whose log standard
// deviation is clamp(m s + b, -20, 2) with m and b trained, and its temperature alpha.
//   L_pi = mean( alpha ln pi(a|s) - min(Q1, Q2)(s, a) ),  a ~ pi(s)
//   L_alpha = -mean( ln alpha (ln pi + target entropy) )
#include <algorithm>
#include <cmath>
#include <cstring>

#include "control/member.h"

namespace alignlab {

void JoinActions(Tensor x, int64_t states, Tensor actions, int64_t fan, Tensor to) {
  for (int64_t r = 0; r < to.rows; ++r) {
    float* row = to.f32() + r * to.stride;
    std::memcpy(row, x.f32() + r / fan * x.stride, size_t(states) * 4);
    std::memcpy(row + states, actions.f32() + r * actions.stride, size_t(actions.cols) * 4);
  }
}

// L_pi on the batch's states, and its gradient: with d q = -1/B on the critic that is smaller,
//   d u = d Q/d a (1 - a^2) + 2 a alpha / B,  d log_std = d u sigma noise - alpha / B
void ControlMember::ActorGradient(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const int64_t rows = s.batch;
  const float* scalars = parameters() + layout.policy_scalars;
  MlpActivations policy = w.policy.For(layout.policy, rows);
  Forward(call.compute, layout.policy, parameters(), Columns(w.batch, 0, s.state_size), policy);
  Normals(call, ControlStream::kActorNoise, w.noise, rows * s.action_size);
  const Tensor actions = Rows(w.actions, 0, rows);
  call.compute.control->squash(call.compute.device, {policy.out, w.noise, scalars[0], scalars[1], 1,
                                                     actions, w.log_prob, w.std_dev});
  JoinActions(w.batch, s.state_size, actions, 1, w.inputs);
  MlpActivations critics[2];
  for (int i = 0; i < 2; ++i) {
    critics[i] = w.sets[i].For(layout.critic[i], rows);
    Forward(call.compute, layout.critic[i], parameters(), w.inputs, critics[i]);
  }
  const double share = 1 / double(rows);
  const Tensor d_q[2] = {{w.d_out[0].data, DType::kF32, rows, 1, 1},
                         {w.d_out[1].data, DType::kF32, rows, 1, 1}};
  double log_probs = 0, values = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float q1 = critics[0].out.f32()[r], q2 = critics[1].out.f32()[r];
    const int smaller = q2 < q1;
    d_q[smaller].f32()[r] = float(-share);
    d_q[1 - smaller].f32()[r] = 0;
    values += smaller ? q2 : q1;
    log_probs += w.log_prob[r];
  }
  call.policy_loss = share * (call.alpha * log_probs - values);
  call.sums[kPolicyLoss] += call.policy_loss;
  call.sums[kEntropy] -= share * log_probs;
  call.sums[kAlpha] += call.alpha;
  // Both critics' d action are added up in the first columns of d_policy.
  const Tensor d_actions = Columns(w.d_inputs, s.state_size, s.action_size);
  for (int i = 0; i < 2; ++i) {
    Backward(call.compute, layout.critic[i], parameters(), nullptr, w.inputs, critics[i], d_q[i],
             w.d, w.d_inputs);
    for (int64_t r = 0; r < rows; ++r) {
      float* to = w.d_policy.f32() + r * w.d_policy.stride;
      const float* from = d_actions.f32() + r * d_actions.stride;
      for (int64_t j = 0; j < s.action_size; ++j) to[j] = (i == 0 ? 0 : to[j]) + from[j];
    }
  }
  PolicyBackward(call);
}

// From d L / d action in d_policy's first columns to the gradients of the policy, m and b.
void ControlMember::PolicyBackward(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const int64_t actions = s.action_size;
  const float* scalars = parameters() + layout.policy_scalars;
  const float scale = scalars[0], shift = scalars[1];
  const float share = float(call.alpha / double(s.batch));
  const MlpActivations policy = w.policy.For(layout.policy, s.batch);
  double d_scale = 0, d_shift = 0;
  for (int64_t r = 0; r < s.batch; ++r) {
    float* d = w.d_policy.f32() + r * w.d_policy.stride;
    const float* spread = policy.out.f32() + r * policy.out.stride + actions;
    for (int64_t j = 0; j < actions; ++j) {
      const int64_t at = r * actions + j;
      const float a = w.actions.f32()[at], log_std = scale * spread[j] + shift;
      const float d_u = d[j] * (1 - a * a) + 2 * a * share;
      const bool inside = log_std >= -20 && log_std <= 2;
      const float d_log_std = inside ? d_u * w.std_dev[at] * w.noise[at] - share : 0;
      d[j] = d_u;
      d[actions + j] = d_log_std * scale;
      d_scale += double(d_log_std) * spread[j];
      d_shift += d_log_std;
    }
  }
  Backward(call.compute, layout.policy, parameters(), w.gradients,
           Columns(w.batch, 0, s.state_size), policy, w.d_policy, w.d, {});
  w.gradients[layout.policy_scalars] += float(d_scale);
  w.gradients[layout.policy_scalars + 1] += float(d_shift);
}

void ControlMember::AlphaGradient(Call& call) {
  const ControlSettings& s = shared_.settings;
  double sum = 0;
  for (int64_t r = 0; r < s.batch; ++r) sum += double(call.w.log_prob[r]) + s.target_entropy;
  call.w.gradients[shared_.layout.alpha] = float(-sum / double(s.batch));
}

// y = r + discount (1 - terminal) ( min(Q1', Q2')(s', a') - [backup_entropy] alpha ln pi(a'|s') ),
// a' ~ pi(s') and Q' the slow copies. DARC adds clamp(ln r, +-clip) to simulated rewards.
void ControlMember::Targets(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const TransitionShape& shape = shared_.shape;
  const int64_t rows = s.batch;
  const float* scalars = parameters() + layout.policy_scalars;
  const Tensor next = Columns(w.batch, shape.next(), s.state_size);
  // The hidden layers may be overwritten: the policy's gradient is done.
  MlpActivations policy = w.policy.For(layout.policy, rows);
  const Tensor outputs = policy.out;
  policy.out = w.next_outputs;
  Forward(call.compute, layout.policy, parameters(), next, policy);
  policy.out = outputs;
  Normals(call, ControlStream::kTargetNoise, w.noise, rows * s.action_size);
  const Tensor actions = Rows(w.actions, 0, rows);
  call.compute.control->squash(
      call.compute.device,
      {w.next_outputs, w.noise, scalars[0], scalars[1], 1, actions, w.next_log_prob, nullptr});
  JoinActions(next, s.state_size, actions, 1, w.inputs);
  const float* slow = target() - layout.critics_begin;  // indexed as the parameters are
  for (int i = 0; i < 2; ++i) {
    MlpActivations a = w.sets[i].For(layout.critic[i], rows);
    Forward(call.compute, layout.critic[i], slow, w.inputs, a);
    std::memcpy(w.q[i], a.out.data, size_t(rows) * 4);
  }
  const bool darc =
      s.algorithm == ControlAlgorithm::kDarc || s.algorithm == ControlAlgorithm::kDarcPlus;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = w.batch.f32() + r * w.batch.stride;
    float value = std::min(w.q[0][r], w.q[1][r]);
    if (s.backup_entropy) value -= float(call.alpha) * w.next_log_prob[r];
    float reward = row[shape.reward()];
    if (darc && r >= s.real_rows)
      reward += std::clamp(w.log_ratio[r - s.real_rows], -s.darc_clip, s.darc_clip);
    w.target[r] = reward + s.discount * (1 - row[shape.terminal()]) * value;
  }
}

void ControlMember::Act(const Compute& compute, Workspace& w, const float* states, int64_t rows,
                        bool sample, float* actions) {
  const ControlSettings& s = shared_.settings;
  const MlpLayout& layout = shared_.layout.policy;
  const float* scalars = parameters() + shared_.layout.policy_scalars;
  for (int64_t first = 0; first < rows; first += w.chunk) {
    const int64_t n = std::min(w.chunk, rows - first);
    const Tensor x{const_cast<float*>(states + first * s.state_size), DType::kF32, n, s.state_size,
                   s.state_size};
    MlpActivations a = w.policy.For(layout, n);
    Forward(compute, layout, parameters(), x, a);
    if (sample)
      compute.control->normals(compute.device, {seed_, uint64_t(acts), Purpose(ControlStream::kAct),
                                                w.noise, n * s.action_size});
    const Tensor out{actions + first * s.action_size, DType::kF32, n, s.action_size, s.action_size};
    compute.control->squash(compute.device, {a.out, sample ? w.noise : nullptr, scalars[0],
                                             scalars[1], 1, out, nullptr, nullptr});
    if (sample) ++acts;
  }
}

}  // namespace alignlab
