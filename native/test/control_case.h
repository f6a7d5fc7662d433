// What the tests of the control learners' losses share: a tally, and the comparison of a case on a
// backend with its definition.
#pragma once

#include "reference/control_losses.h"
#include "test/backends.h"

namespace alignlab::test {

using Floats = std::vector<float>;
constexpr int64_t kUpdate = 7;

// A tally in memory that every backend reaches, with sums that something can be added to.
struct TestTally {
  std::vector<ControlTally> memory{1, ControlTally{}};
  TestTally() {
    for (int i = 0; i < kControlMetrics; ++i) value().sums[i] = i;
    value().critic_loss = 0.25;
    value().conservative = 0.5;
  }
  ControlTally& value() { return memory[0]; }
  const ControlTally& value() const { return memory[0]; }
};

// Sums in double of single-precision inputs; what is off comes from functions in single precision.
inline void ExpectTally(const TestTally& actual, const TestTally& expected) {
  const ControlTally &a = actual.value(), &e = expected.value();
  ExpectClose(
      "sums", kControlMetrics, [&](int64_t i) { return a.sums[i]; },
      [&](int64_t i) { return e.sums[i]; }, {1e-6, 1e-6});
  ExpectClose(
      "conservative", 1, [&](int64_t) { return a.conservative; },
      [&](int64_t) { return e.conservative; }, {1e-6, 1e-6});
  EXPECT(a.failed == e.failed);
}

// Runs a case on the backend and by definition; Case has Run(operation), which calls it with the
// arguments, and Compare(expected).
template <class Case, class Operation, class Definition>
void Check(const std::string& name, const Backend& backend, const Case& start,
           Operation ControlOperations::*operation, const Definition& definition) {
  const Context context(name);
  Case actual = start, expected = start;
  actual.Run([&](const auto& args) { (backend.control->*operation)(backend.device, args); });
  expected.Run(definition);
  actual.Compare(expected);
  ExpectTally(actual.tally, expected.tally);
}

inline constexpr int64_t kBatches[] = {1, 5, 48, 300};

}  // namespace alignlab::test
