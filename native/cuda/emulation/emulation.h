// Runs a kernel on the CPU: the launch of the emulation. The instructions are in simt.h.
#pragma once

#include <functional>

#include "cuda/emulation/simt.h"

namespace alignlab::cuda::emulation {

// Calls `thread` once for each thread of each block. Throws Error INTERNAL when threads of a
// block wait for one another for ever, when a warp is not whole, or when a copy or a product was
// not waited for.
void RunGrid(Index3 grid, Index3 block, size_t shared_bytes, const std::function<void()>& thread);

// Of the order in which the threads of a block run, and of when what is asynchronous is done; each
// block draws its own.
void SetSeed(uint64_t seed);
uint64_t Seed();

// What devices opened from now on are: at first one multiprocessor of compute capability 8.0.
void SetGpu(int major, int minor, int multiprocessors);

}  // namespace alignlab::cuda::emulation
