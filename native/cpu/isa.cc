#include "cpu/isa.h"

#include <cstdlib>
#include <string>

#include "cpu/amx_permission.h"
#include "error.h"

namespace alignlab {

extern const Operations kOperationsPortable;
extern const ControlOperations kOperationsPortableControl;
#if defined(__x86_64__)
extern const Operations kOperationsAvx2;
extern const Operations kOperationsAvx512;
extern const Operations kOperationsAvx512Bf16;
extern const ControlOperations kOperationsAvx2Control;
extern const ControlOperations kOperationsAvx512Control;
extern const ControlOperations kOperationsAvx512Bf16Control;
#if defined(ALIGNLAB_AMX)
extern const Operations kOperationsAmx;
extern const ControlOperations kOperationsAmxControl;
#endif

namespace {

// What -mavx2 -mfma -mf16c lets the compiler use.
bool HasAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}
// -march=x86-64-v4 includes v3, with its bit manipulation.
bool HasAvx512() {
  return HasAvx2() && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("movbe") &&
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
bool HasAvx512Bf16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16"); }
#if defined(ALIGNLAB_AMX)
bool HasAmx() {
  return HasAvx512Bf16() && __builtin_cpu_supports("amx-tile") &&
         __builtin_cpu_supports("amx-bf16") && RequestAmx();
}
#endif

}  // namespace
#endif

std::span<const InstructionSet> InstructionSets() {
  static const InstructionSet sets[] = {
    {"portable", true, &kOperationsPortable, &kOperationsPortableControl},
#if defined(__x86_64__)
    {"avx2", HasAvx2(), &kOperationsAvx2, &kOperationsAvx2Control},
    {"avx512", HasAvx512(), &kOperationsAvx512, &kOperationsAvx512Control},
    {"avx512bf16", HasAvx512Bf16(), &kOperationsAvx512Bf16, &kOperationsAvx512Bf16Control},
#if defined(ALIGNLAB_AMX)
    {"amx", HasAmx(), &kOperationsAmx, &kOperationsAmxControl},
#endif
#endif
  };
  return sets;
}

const InstructionSet& SelectInstructionSet(const char* forced) {
  const char* wanted = forced && *forced ? forced : std::getenv("ALIGNLAB_ISA");
  const InstructionSet* best = nullptr;
  std::string possible;
  for (const InstructionSet& set : InstructionSets()) {
    if (!set.supported) continue;
    if (wanted && *wanted && set.name == std::string(wanted)) return set;
    best = &set;
    possible += (possible.empty() ? "" : ", ") + std::string(set.name);
  }
  if (!wanted || !*wanted) return *best;
  throw Error("ISA_UNSUPPORTED",
              "the instruction set '" + std::string(wanted) +
                  "' is unknown or not supported by this processor; it can run: " + possible +
                  ". Set ALIGNLAB_ISA to one of these, or unset it to use the fastest.");
}

}  // namespace alignlab
