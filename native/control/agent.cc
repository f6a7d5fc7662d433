// The soft actor-critic agent (Haarnoja et al. 2018): a tanh-Gaussian policy whose log standard
// deviation is clamp(m s + b, -20, 2) with m and b trained, and its temperature alpha.
//   L_pi = mean( alpha ln pi(a|s) - min(Q1, Q2)(s, a) ),  a ~ pi(s)
//   L_alpha = -mean( ln alpha (ln pi + target entropy) )
#include <algorithm>

#include "control/member.h"

namespace alignlab {

// L_pi on the batch's states, and its gradient: through the critic that is smaller to its action,
// and from there and from ln pi to the policy.
void ControlMember::ActorGradient(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const int64_t rows = s.batch;
  const Tensor states = Columns(w.batch, 0, s.state_size);
  MlpActivations policy = w.policy.For(layout.policy, rows);
  Forward(call.compute, layout.policy, parameters(), states, policy);
  Normals(call, ControlStream::kActorNoise, w.noise, rows * s.action_size);
  call.control().squash(call.device(), {policy.out, w.noise, scalars(), 1,
                                        Columns(w.inputs, s.state_size, s.action_size), w.log_prob,
                                        w.std_dev, states});
  MlpActivations critics[2];
  for (int i = 0; i < 2; ++i) {
    critics[i] = w.sets[i].For(layout.critic[i], rows);
    Forward(call.compute, layout.critic[i], parameters(), w.inputs, critics[i]);
  }
  const Tensor d_q[2] = {{w.d_out[0].data, DType::kF32, rows, 1, 1},
                         {w.d_out[1].data, DType::kF32, rows, 1, 1}};
  call.control().actor_loss(
      call.device(), {critics[0].out.f32(), critics[1].out.f32(), w.log_prob, log_alpha(), rows,
                      s.target_entropy, d_q[0].f32(), d_q[1].f32(),
                      s.train_alpha ? w.gradients + layout.alpha : nullptr, tally(), update()});
  for (int i = 0; i < 2; ++i)
    Backward(call.compute, layout.critic[i], parameters(), nullptr, w.inputs, critics[i], d_q[i],
             w.d, w.d_inputs[i]);
  PolicyBackward(call);
}

// From d L / d action of both critics to the gradients of the policy, m and b.
void ControlMember::PolicyBackward(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const MlpActivations policy = w.policy.For(layout.policy, s.batch);
  const auto actions = [&](Tensor x) { return Columns(x, s.state_size, s.action_size); };
  call.control().policy_gradient(call.device(), {policy.out,
                                                 w.noise,
                                                 w.std_dev,
                                                 actions(w.inputs),
                                                 {actions(w.d_inputs[0]), actions(w.d_inputs[1])},
                                                 scalars(),
                                                 log_alpha(),
                                                 w.d_policy,
                                                 w.gradients + layout.policy_scalars});
  Backward(call.compute, layout.policy, parameters(), w.gradients,
           Columns(w.batch, 0, s.state_size), policy, w.d_policy, w.d, {});
}

// y = r + discount (1 - terminal) ( min(Q1', Q2')(s', a') - [backup_entropy] alpha ln pi(a'|s') ),
// a' ~ pi(s') and Q' the slow copies. DARC adds clamp(ln r, +-clip) to simulated rewards.
void ControlMember::Targets(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const ControlLayout& layout = shared_.layout;
  const TransitionShape& shape = shared_.shape;
  const int64_t rows = s.batch;
  const Tensor next = Columns(w.batch, shape.next(), s.state_size);
  // The hidden layers may be overwritten: the policy's gradient is done.
  MlpActivations policy = w.policy.For(layout.policy, rows);
  policy.out = w.next_outputs;
  Forward(call.compute, layout.policy, parameters(), next, policy);
  Normals(call, ControlStream::kTargetNoise, w.noise, rows * s.action_size);
  call.control().squash(call.device(), {w.next_outputs, w.noise, scalars(), 1,
                                        Columns(w.inputs, s.state_size, s.action_size),
                                        w.next_log_prob, nullptr, next});
  const float* slow = target() - layout.critics_begin;  // indexed as the parameters are
  const float* q[2];
  for (int i = 0; i < 2; ++i) {
    MlpActivations a = w.sets[i].For(layout.critic[i], rows);
    Forward(call.compute, layout.critic[i], slow, w.inputs, a);
    q[i] = a.out.f32();
  }
  const bool darc =
      s.algorithm == ControlAlgorithm::kDarc || s.algorithm == ControlAlgorithm::kDarcPlus;
  call.control().targets(
      call.device(),
      {q[0], q[1], s.backup_entropy ? w.next_log_prob : nullptr, log_alpha(),
       Columns(w.batch, shape.reward(), 1), Columns(w.batch, shape.terminal(), 1),
       darc ? w.log_ratio : nullptr, s.real_rows, s.darc_clip, s.discount, w.target});
}

void ControlMember::Act(const Compute& compute, Workspace& w, const float* states, int64_t rows,
                        bool sample, float* actions) {
  const ControlSettings& s = shared_.settings;
  const MlpLayout& layout = shared_.layout.policy;
  for (int64_t first = 0; first < rows; first += w.chunk) {
    const int64_t n = std::min(w.chunk, rows - first);
    const Tensor x = Rows(w.states, 0, n), out = Rows(w.actions, 0, n);
    compute.CopyIn(x.data, states + first * s.state_size, n * s.state_size * 4);
    MlpActivations a = w.policy.For(layout, n);
    Forward(compute, layout, parameters(), x, a);
    if (sample)
      compute.control().normals(
          compute.device,
          {seed_, uint64_t(acts), Purpose(ControlStream::kAct), w.noise, n * s.action_size});
    compute.control().squash(
        compute.device,
        {a.out, sample ? w.noise : nullptr, scalars(), 1, out, nullptr, nullptr, {}});
    compute.CopyOut(actions + first * s.action_size, out.data, n * s.action_size * 4);
    if (sample) ++acts;
  }
}

}  // namespace alignlab
