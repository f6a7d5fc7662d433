#include "cpu/backend.h"

#include <cstring>

#include "backend/buffer.h"
#include "cpu/isa.h"

namespace alignlab {

namespace {

constexpr int64_t kPanel = 16;  // one vector of simd.h

void Copy(void*, void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }

constexpr MemoryOperations kHostMemory = {
    .host = true,
    .allocate = [](void*, size_t bytes) { return AllocatePages(bytes); },
    .release = [](void*, void* data, size_t bytes) { ReleasePages(data, bytes); },
    .zero = [](void*, void* data, size_t bytes) { std::memset(data, 0, bytes); },
    .copy = Copy,
    .copy_in = Copy,
    .copy_out = Copy,
};

}  // namespace

CpuBackend::CpuBackend(int threads, const char* isa) : pool_(threads) {
  const InstructionSet& set = SelectInstructionSet(isa);
  table_ = {.abi = kBackendAbi,
            .name = "cpu",
            .variant = set.name,
            .panel = kPanel,
            .exact = true,
            .ops = *set.operations,
            .memory = kHostMemory,
            .steps = {},
            .kv_in_compute_type = false,
            .key_panel = int32_t(kPanel),
            .max_head_dim = 0,
            .control = set.control,
            .device = &pool_};
}

}  // namespace alignlab
