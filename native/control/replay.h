// Transitions in the engine's memory, one row each: [state | action | next state | reward |
// terminal], so that one read fetches a transition and the inputs of every network are a run of
// columns: state, state + action, state + action + next state.
#pragma once

#include <string>
#include <vector>

#include "backend/buffer.h"
#include "control/settings.h"

namespace alignlab {

struct TransitionShape {
  int64_t state, action;
  int64_t width() const { return 2 * state + action + 2; }
  int64_t next() const { return state + action; }  // first column of the next state
  int64_t reward() const { return 2 * state + action; }
  int64_t terminal() const { return 2 * state + action + 1; }
};

// A ring of at most `capacity` rows; memory grows with what is in it.
class Replay {
 public:
  Replay(TransitionShape shape, int64_t capacity, std::string what)
      : shape_(shape), capacity_(capacity), what_(std::move(what)) {}

  const TransitionShape& shape() const { return shape_; }
  int64_t size() const { return size_; }
  int64_t capacity() const { return capacity_; }
  size_t bytes() const { return rows_.bytes(); }
  // Row `age`, 0 the oldest that is kept.
  const float* row(int64_t age) const;
  // Room for `count` rows more, which the caller fills: successive calls of Next() give them.
  void Reserve(int64_t count);
  float* Next();

  // Where the next row goes; with the rows, the whole state.
  int64_t position() const { return position_; }
  const float* data() const { return rows_.f32(); }
  float* Restore(int64_t size, int64_t position);

 private:
  TransitionShape shape_;
  int64_t capacity_, size_ = 0, position_ = 0;
  std::string what_;
  Buffer rows_;
};

// Per column, over the rows of `real`.
struct TransitionStatistics {
  std::vector<float> next_spread;  // (state): standard deviation that next states are spread by
  std::vector<float> shift,
      scale;  // (2 state + action): discriminator inputs are (x - shift) scale
};

// next_spread, plus 1e-3 in every mode:
//   kPaperCode  as the released code: over the states and ten times as many rows of zeros, its
//               allocated and still empty simulator part (about 0.30 of their root mean square)
//   kData       over the states
//   kOneStep    of next state - state
// shift and scale: mean and 1 / (deviation + 1e-3) of states (for next states, too) and actions;
// 0 and 1 unless `normalize`.
TransitionStatistics MeasureTransitions(const Replay& real, NextSpread spread, bool normalize);

}  // namespace alignlab
