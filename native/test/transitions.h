// Transitions that tests and benches of the control learners own; they fill the columns.
#pragma once

#include <vector>

#include "control/learner.h"

namespace alignlab::test {

struct Transitions {
  std::vector<float> states, actions, rewards, next;
  std::vector<uint8_t> terminal;

  TransitionColumns view() const {
    return {states.data(), actions.data(),  rewards.data(),
            next.data(),   terminal.data(), int64_t(rewards.size())};
  }
};

}  // namespace alignlab::test
