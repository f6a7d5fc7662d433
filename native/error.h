// The one exception type of the native tree: a code from the list that TypeScript shares
// (src/errors.ts), a sentence, and a way out.
#pragma once

#include <stdexcept>
#include <string>

namespace alignlab {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;  // points at a string literal
};

// A broken promise inside the engine: reported as INTERNAL, never an abort.
inline void Check(bool holds, const char* what) {
  if (!holds) throw Error("INTERNAL", std::string("internal check failed: ") + what);
}

}  // namespace alignlab
