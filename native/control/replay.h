// Transitions in the device's memory, one row each: [state | action | next state | reward |
// terminal], so that one read fetches a transition and the inputs of every network are a run of
// columns: state, state + action, state + action + next state.
#pragma once

#include <string>
#include <vector>

#include "backend/buffer.h"
#include "backend/control_operations.h"
#include "control/settings.h"

namespace alignlab {

struct TransitionShape {
  int64_t state, action;
  int64_t width() const { return 2 * state + action + 2; }
  int64_t inputs() const { return 2 * state + action; }  // columns before the reward
  int64_t next() const { return state + action; }        // first column of the next state
  int64_t reward() const { return 2 * state + action; }
  int64_t terminal() const { return 2 * state + action + 1; }
};

// A ring of at most `capacity` rows; memory grows with what is in it. Pointers to rows that are
// passed here are the host's.
class Replay {
 public:
  Replay(const Backend& backend, TransitionShape shape, int64_t capacity, std::string what)
      : backend_(backend), shape_(shape), capacity_(capacity), what_(std::move(what)) {}

  const TransitionShape& shape() const { return shape_; }
  int64_t size() const { return size_; }
  int64_t capacity() const { return capacity_; }
  size_t bytes() const { return rows_.bytes(); }
  RowRing ring() const { return {rows_.f32(), shape_.width(), size_, oldest(), capacity_}; }

  void Append(const float* rows, int64_t count);
  // Rows of ages [first, first + count), 0 the oldest that is kept.
  void Read(int64_t first, int64_t count, float* to) const;

  // Where the next row goes; with the rows as they lie, the whole state.
  int64_t position() const { return position_; }
  void CopyOut(float* rows) const;
  void Restore(int64_t size, int64_t position, const float* rows);

 private:
  int64_t oldest() const { return size_ < capacity_ ? 0 : position_; }
  void Reserve(int64_t rows);
  size_t BytesOf(int64_t rows) const { return size_t(rows * shape_.width()) * 4; }

  const Backend& backend_;
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
