// Conservative Q-learning (Kumar et al. 2020), the CQL(H) form with importance sampling:
//   weight mean_s( T ln sum_k exp((Q(s, a_k) - ln p_k) / T) - Q(s, a) )
// over n uniform actions (p = 2^-A), n of the policy at the next state and n at the state itself.
// The term is a sum over states, so it is worked off in blocks of states that stay in the cache.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "control/member.h"

namespace alignlab {

// Of each state: uniform, next, current; row state * 3n + kind * n + k.
void ControlMember::ConservativeActions(Call& call) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const int64_t n = s.cql.actions, actions = s.action_size;
  const float* scalars = parameters() + shared_.layout.policy_scalars;
  const Tensor drawn{w.cql_noise, DType::kF32, s.batch * n, actions, actions};
  const Tensor outputs[3] = {{}, w.next_outputs, w.policy.For(shared_.layout.policy, s.batch).out};
  const ControlStream streams[3] = {ControlStream::kCqlUniform, ControlStream::kCqlNext,
                                    ControlStream::kCqlCurrent};
  for (int64_t kind = 0; kind < 3; ++kind) {
    if (kind == 0) {
      call.compute.control->uniforms(
          call.compute.device,
          {seed_, uint64_t(step), Purpose(streams[0]), w.cql_noise, drawn.rows * actions});
      for (int64_t i = 0; i < drawn.rows * actions; ++i) w.cql_noise[i] = 2 * w.cql_noise[i] - 1;
      std::fill(w.cql_draw_log_prob, w.cql_draw_log_prob + drawn.rows,
                float(-double(actions) * std::log(2.0)));
    } else {
      Normals(call, streams[kind], w.cql_noise, drawn.rows * actions);
      // In place: an action replaces the noise it was made of.
      call.compute.control->squash(call.compute.device,
                                   {outputs[kind], w.cql_noise, scalars[0], scalars[1], n, drawn,
                                    w.cql_draw_log_prob, nullptr});
    }
    for (int64_t r = 0; r < s.batch; ++r) {
      const int64_t to = (r * 3 + kind) * n;
      std::memcpy(w.cql_actions.f32() + to * actions, w.cql_noise + r * n * actions,
                  size_t(n * actions) * 4);
      std::memcpy(w.cql_log_prob + to, w.cql_draw_log_prob + r * n, size_t(n) * 4);
    }
  }
}

// Adds the gradient at those actions to the critic's, and that at the data to d_q; returns the
// difference before its weight.
double ControlMember::ConservativeGradient(Call& call, int critic, const float* q, float* d_q) {
  Workspace& w = call.w;
  const ControlSettings& s = shared_.settings;
  const MlpLayout& layout = shared_.layout.critic[critic];
  const int64_t fan = 3 * s.cql.actions, block = w.chunk / fan;
  const double share = 1 / double(s.batch), temperature = s.cql.temperature;
  double difference = 0;
  for (int64_t first = 0; first < s.batch; first += block) {
    const int64_t states = std::min(block, s.batch - first), rows = states * fan;
    const Tensor x = Rows(w.cql_inputs, 0, rows);
    JoinActions(Rows(w.batch, first, states), s.state_size, Rows(w.cql_actions, first * fan, rows),
                fan, x);
    MlpActivations a = w.sets[1].For(layout, rows);
    Forward(call.compute, layout, parameters(), x, a);
    const Tensor d_out{w.d_out[1].data, DType::kF32, rows, 1, 1};
    for (int64_t r = 0; r < states; ++r) {
      float *values = a.out.f32() + r * fan, *d = d_out.f32() + r * fan;
      const float* log_prob = w.cql_log_prob + (first + r) * fan;
      double highest = -INFINITY, sum = 0;
      for (int64_t k = 0; k < fan; ++k) {
        values[k] = float((double(values[k]) - log_prob[k]) / temperature);
        highest = std::max(highest, double(values[k]));
      }
      for (int64_t k = 0; k < fan; ++k) sum += std::exp(values[k] - highest);
      for (int64_t k = 0; k < fan; ++k) {
        const double probability = std::exp(values[k] - highest) / sum;
        d[k] = probability >= 1e-20 ? float(s.cql.weight * share * probability) : 0.0f;
      }
      difference += share * (temperature * (highest + std::log(sum)) - q[first + r]);
    }
    Backward(call.compute, layout, parameters(), w.gradients, x, a, d_out, w.d, {});
  }
  for (int64_t r = 0; r < s.batch; ++r) d_q[r] -= float(s.cql.weight * share);
  return difference;
}

}  // namespace alignlab
