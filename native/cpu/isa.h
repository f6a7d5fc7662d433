// The instruction sets that the kernels were compiled for, and the choice among them.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/control_operations.h"

namespace alignlab {

struct InstructionSet {
  const char* name;  // "portable", "avx2", "avx512", "avx512bf16", "amx"
  bool supported;    // by the processor and the operating system
  const Operations* operations;
  const ControlOperations* control;
};

// All that this build contains, the fastest last.
std::span<const InstructionSet> InstructionSets();

// The one named by `forced`; when that is null or empty, by the environment variable ALIGNLAB_ISA;
// when that is unset too, the fastest supported one. Throws Error("ISA_UNSUPPORTED").
const InstructionSet& SelectInstructionSet(const char* forced);

inline const Operations& SelectOperations(const char* forced) {
  return *SelectInstructionSet(forced).operations;
}

}  // namespace alignlab
