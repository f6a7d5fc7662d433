// The control operations and the learners' losses as plain loops in double: what
// backend/control_operations.h and native/control/ mean. Losses are functions of one network's
// parameters, everything that carries no gradient being a number already; their gradients are
// taken by finite differences in the tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "backend/control_operations.h"

namespace alignlab::reference {

using Numbers = std::vector<double>;

inline double UniformWord(uint32_t word) { return (double(word >> 8) + 0.5) * 0x1p-24; }
inline PhiloxBlock BlockOf(const RandomArgs& a, int64_t i) {
  return Philox4x32(a.key, {{uint32_t(16 * (i / 64) + i % 16), uint32_t(a.step),
                             uint32_t(a.step >> 32), a.purpose}});
}
inline double Uniform(const RandomArgs& a, int64_t i) {
  return UniformWord(BlockOf(a, i).word[i % 64 / 16]);
}
inline double Normal(const RandomArgs& a, int64_t i) {
  const int64_t q = i % 64 / 16, first = q / 2 * 2;
  const PhiloxBlock block = BlockOf(a, i);
  const double radius = std::sqrt(-2 * std::log(UniformWord(block.word[first])));
  const double angle = 2 * M_PI * UniformWord(block.word[first + 1]);
  return radius * (q % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

inline void Adam(const AdamArgs& a) {
  const auto flushed = [](double x) { return std::abs(x) < 1e-30 ? 0.0 : x; };
  for (int64_t i = 0; i < a.n; ++i) {
    const double g = a.g[i];
    const double m = flushed(a.beta1 * double(a.m[i]) + (1 - double(a.beta1)) * g);
    const double v = flushed(a.beta2 * double(a.v[i]) + (1 - double(a.beta2)) * g * g);
    const double w = a.w[i] - a.lr * (m / a.bias1) / (std::sqrt(v / a.bias2) + a.eps);
    if (a.target) a.target[i] = float(a.target[i] + a.rate * (w - a.target[i]));
    a.w[i] = float(w);
    a.m[i] = float(m);
    a.v[i] = float(v);
    a.g[i] = 0;
  }
}

inline double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

struct Action {
  Numbers values, std_dev;
  double log_prob = 0;
};
// outputs: 2A numbers; noise: A.
inline Action Squash(const double* outputs, const double* noise, int64_t actions, double scale,
                     double shift) {
  Action out;
  for (int64_t j = 0; j < actions; ++j) {
    const double log_std = std::clamp(scale * outputs[actions + j] + shift, -20.0, 2.0);
    const double u = outputs[j] + std::exp(log_std) * noise[j];
    out.values.push_back(std::tanh(u));
    out.std_dev.push_back(std::exp(log_std));
    out.log_prob += -noise[j] * noise[j] / 2 - log_std - std::log(2 * M_PI) / 2 -
                    2 * (std::log(2.0) - u - Softplus(-2 * u));
  }
  return out;
}

// ReLU networks; parameters layer by layer, row-major (out, in) weights and then biases.
inline Numbers Mlp(const std::vector<int64_t>& sizes, const double* parameters, Numbers x) {
  for (size_t l = 0; l + 1 < sizes.size(); ++l) {
    const int64_t in = sizes[l], out = sizes[l + 1];
    Numbers y(static_cast<size_t>(out));
    for (int64_t o = 0; o < out; ++o) {
      double sum = parameters[out * in + o];
      for (int64_t i = 0; i < in; ++i) sum += parameters[o * in + i] * x[size_t(i)];
      y[size_t(o)] = l + 2 < sizes.size() ? std::max(sum, 0.0) : sum;
    }
    parameters += out * (in + 1);
    x = std::move(y);
  }
  return x;
}

// L_sa + L_sas from the logits (real, simulated) of both networks, rows of real ones first.
inline double DiscriminatorLoss(const std::vector<Numbers>& z1, const std::vector<Numbers>& z2,
                                int64_t real) {
  double loss = 0;
  for (size_t r = 0; r < z1.size(); ++r) {
    const bool sim = int64_t(r) >= real;
    const double share = 1 / double(sim ? int64_t(z1.size()) - real : real);
    const double odds = z1[r][1] - z1[r][0], next = odds + z2[r][1] - z2[r][0];
    loss += share * (Softplus(sim ? -odds : odds) + Softplus(sim ? -next : next));
  }
  return loss;
}

// sum_rows weight (q - y)^2
inline double BellmanLoss(const Numbers& q, const Numbers& y, const Numbers& weight) {
  double loss = 0;
  for (size_t r = 0; r < q.size(); ++r) loss += weight[r] * (q[r] - y[r]) * (q[r] - y[r]);
  return loss;
}

// H2O's penalty before beta; gaps: u of the simulated rows, which follow the real ones.
inline double TrustPenalty(const Numbers& q, int64_t real, const Numbers& gaps, bool linear,
                           double limit) {
  double total = 0, mean = 0, sum = 0;
  for (double u : gaps) total += u;
  for (int64_t r = 0; r < real; ++r) mean += q[size_t(r)] / double(real);
  for (size_t i = 0; i < gaps.size(); ++i) {
    const double value = q[size_t(real) + i];
    sum += gaps[i] / total * (linear ? value : std::exp(value));
  }
  return std::clamp((linear ? sum : std::log(sum)) - mean, -limit, limit);
}

}  // namespace alignlab::reference
