// Expectations that count: a test is a main that ends with `return Report();`.
#pragma once

#include <cstdio>
#include <string>

namespace alignlab::test {

struct Tally {
  int passed = 0, failed = 0;
  std::string context;  // what the following expectations are about, printed with a failure
};
inline Tally tally;

inline bool Expect(bool holds, const char* file, int line, const std::string& what) {
  if (holds) {
    ++tally.passed;
  } else if (++tally.failed <= 50) {  // the first ones tell enough
    std::printf("%s:%d: [%s] %s\n", file, line, tally.context.c_str(), what.c_str());
  }
  return holds;
}

// The context until the end of the block.
class Context {
 public:
  explicit Context(const std::string& what) : before_(tally.context) {
    tally.context += (before_.empty() ? "" : " ") + what;
  }
  ~Context() { tally.context = before_; }

 private:
  std::string before_;
};

inline int Report() {
  std::printf("%d passed, %d failed\n", tally.passed, tally.failed);
  return tally.failed == 0 && tally.passed > 0 ? 0 : 1;
}

}  // namespace alignlab::test

#define EXPECT(...) \
  ::alignlab::test::Expect(bool(__VA_ARGS__), __FILE__, __LINE__, "expected " #__VA_ARGS__)
#define EXPECT_MESSAGE(holds, message) ::alignlab::test::Expect(holds, __FILE__, __LINE__, message)
