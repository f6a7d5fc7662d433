// Members of an ensemble that take turns on lanes: a lane that is free continues the member that
// has waited longest, so lanes finish together whatever the number of members and however fast each
// lane is at the moment.
#pragma once

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>

#include "cancel.h"

namespace alignlab {

class Turns {
 public:
  // Updates [begin, begin + count) of a member. A turn is short against the whole, so that the last
  // ones are not waited for long, and long against reading a member's networks from memory.
  struct Turn {
    int64_t member, begin, count;
  };

  Turns(int64_t members, int64_t updates, const CancelToken& cancel)
      : cancel_(cancel),
        updates_(updates),
        turn_(std::clamp<int64_t>(updates / kTurnsAtLeast, 1, kLongest)) {
    for (int64_t m = 0; m < members; ++m) waiting_.push_back({m, 0, 0});
  }

  // Empty when no member waits for a lane: all have made their updates, or are on a lane.
  std::optional<Turn> Next() {
    const std::lock_guard lock(mutex_);
    if (cancel_.cancelled()) EndSoon();
    while (!waiting_.empty()) {
      Turn turn = waiting_.front();
      waiting_.pop_front();
      turn.begin += turn.count;
      turn.count = std::min(turn_, updates_ - turn.begin);
      if (turn.count <= 0) continue;
      furthest_ = std::max(furthest_, turn.begin + turn.count);
      return turn;
    }
    return std::nullopt;
  }
  void Done(const Turn& turn, bool failed) {
    const std::lock_guard lock(mutex_);
    if (failed) EndSoon();
    waiting_.push_back(turn);
  }

 private:
  static constexpr int64_t kTurnsAtLeast = 8, kLongest = 8;

  // All members end where the one that is ahead does.
  void EndSoon() { updates_ = std::min(updates_, furthest_); }

  const CancelToken& cancel_;
  std::mutex mutex_;
  int64_t updates_, turn_, furthest_ = 0;
  std::deque<Turn> waiting_;  // with what they have done last
};

}  // namespace alignlab
