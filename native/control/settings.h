// What a learner is made from. The façade (src/control/learner.ts) explains every field, checks
// the ranges, and fills the defaults.
#pragma once

#include <cstdint>
#include <vector>

namespace alignlab {

enum class ControlAlgorithm : int32_t { kSac, kCql, kDarc, kDarcPlus, kMix, kH2o };

// Spread of the simulated next states that the dynamics gap is averaged over (replay.h).
enum class NextSpread : int32_t { kPaperCode, kData, kOneStep };

struct DiscriminatorSettings {
  std::vector<int64_t> hidden;
  int64_t batch = 0;  // rows of each kind
  float learning_rate = 0, noise = 0, logit_scale = 0;
  bool normalize = false;
};

struct H2oSettings {
  bool importance = true, adaptive = true, penalty = true, linear = false;
  float beta = 0;
  int64_t next_samples = 0;
  NextSpread next_spread = NextSpread::kPaperCode;
  float ratio_low = 0, ratio_high = 0;  // clamp of w
  float gap_high = 0;                   // clamp of u from above
  float difference_limit = 0;           // clamp of the penalty
};

struct CqlSettings {
  float weight = 0, temperature = 0;
  int64_t actions = 0;  // of each of the three kinds
};

struct ControlSettings {
  ControlAlgorithm algorithm = ControlAlgorithm::kSac;
  int64_t state_size = 0, action_size = 0;
  std::vector<int64_t> hidden;
  int64_t batch = 0, real_rows = 0;  // rows of a batch, the first `real_rows` of them real
  float policy_rate = 0, critic_rate = 0, alpha_rate = 0;
  float discount = 0, target_rate = 0;
  bool backup_entropy = false, train_alpha = true;
  float target_entropy = 0, initial_alpha = 1;
  float darc_clip = 0;
  DiscriminatorSettings discriminators;
  H2oSettings h2o;
  CqlSettings cql;
  std::vector<uint64_t> seeds;  // one a member
  int64_t sim_capacity = 0;     // transitions a member

  bool has_discriminators() const {
    return algorithm == ControlAlgorithm::kDarc || algorithm == ControlAlgorithm::kDarcPlus ||
           algorithm == ControlAlgorithm::kH2o;
  }
  int64_t sim_rows() const { return batch - real_rows; }
  bool needs_real() const { return real_rows > 0 || has_discriminators(); }
  bool needs_sim() const { return sim_rows() > 0 || has_discriminators(); }
};

}  // namespace alignlab
