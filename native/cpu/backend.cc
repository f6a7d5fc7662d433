#include "cpu/backend.h"

#include "cpu/isa.h"

namespace alignlab {

namespace {
constexpr int64_t kPanel = 16;  // one vector of simd.h
}

CpuBackend::CpuBackend(int threads, const char* isa) : pool_(threads) {
  const InstructionSet& set = SelectInstructionSet(isa);
  table_ = {kBackendAbi, "cpu", set.name, kPanel, *set.operations, &pool_};
  control_ = *set.control;
}

}  // namespace alignlab
