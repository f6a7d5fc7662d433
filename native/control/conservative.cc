// Conservative Q-learning (Kumar et al. 2020), the CQL(H) form with importance sampling:
//   weight mean_s( T ln sum_k exp((Q(s, a_k) - ln p_k) / T) - Q(s, a) )
// over n uniform actions (p = 2^-A), n of the policy at the next state and n at the state itself.
// The term is a sum over states, so it is worked off in blocks of states that stay in the cache.
#include <algorithm>

#include "control/member.h"

namespace alignlab {

void ControlMember::ConservativeActions(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const int64_t n = s.cql.actions, count = s.batch * n * s.action_size;
  call.control().uniforms(
      call.device(),
      {seed_, uint64_t(step), Purpose(ControlStream::kCqlUniform), w.cql_drawn[0].f32(), count});
  const Tensor outputs[2] = {w.next_outputs, w.policy.For(shared_.layout.policy, s.batch).out};
  const ControlStream streams[2] = {ControlStream::kCqlNext, ControlStream::kCqlCurrent};
  for (int i = 0; i < 2; ++i) {
    // In place: an action replaces the noise it was made of.
    const Tensor drawn = w.cql_drawn[i + 1];
    Normals(call, streams[i], drawn.f32(), count);
    call.control().squash(
        call.device(),
        {outputs[i], drawn.f32(), scalars(), n, drawn, w.cql_log_prob[i], nullptr, {}});
  }
}

// Adds the gradient at those actions to the critic's, and the difference to the tally.
void ControlMember::ConservativeGradient(Call& call, int critic, const float* q) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const MlpLayout& layout = shared_.layout.critic[critic];
  const int64_t n = s.cql.actions, fan = 3 * n, block = w.pass / fan;
  for (int64_t first = 0; first < s.batch; first += block) {
    const int64_t states = std::min(block, s.batch - first), rows = states * fan;
    const Tensor x = Rows(w.cql_inputs, 0, rows);
    const auto drawn = [&](int kind) { return Rows(w.cql_drawn[kind], first * n, states * n); };
    call.control().conservative_inputs(call.device(),
                                       {Rows(Columns(w.batch, 0, s.state_size), first, states),
                                        n,
                                        {drawn(0), drawn(1), drawn(2)},
                                        x});
    MlpActivations a = w.sets[1].For(layout, rows);
    Forward(call.compute, layout, parameters(), x, a);
    const Tensor d_out{w.d_out[1].data, DType::kF32, rows, 1, 1};
    call.control().conservative_loss(
        call.device(), {a.out.f32(),
                        {w.cql_log_prob[0] + first * n, w.cql_log_prob[1] + first * n},
                        q + first,
                        states,
                        n,
                        s.action_size,
                        1 / double(s.batch),
                        s.cql.temperature,
                        s.cql.weight,
                        first == 0,
                        d_out.f32(),
                        tally()});
    Backward(call.compute, layout, parameters(), w.gradients, x, a, d_out, w.d, {});
  }
}

}  // namespace alignlab
