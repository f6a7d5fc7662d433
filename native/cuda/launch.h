// Starting a kernel, on the GPU or emulated.
#pragma once

#include "cuda/device.h"
#include "cuda/simt.h"

#if !defined(__CUDACC__)
#include "cuda/emulation/emulation.h"
#include "cuda/emulation/unlock.h"
#endif

namespace alignlab::cuda {

struct GridSize {
  int64_t x, y = 1, z = 1;
};

// kernel(arguments...) on a grid of blocks of `threads`, each with `shared` bytes of dynamic shared
// memory. A grid without blocks starts nothing.
template <class... Parameters, class... Arguments>
void Launch(Device& device, void (*kernel)(Parameters...), GridSize grid, int threads,
            size_t shared, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if defined(__CUDACC__)
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shared > kWithoutAsking)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
  const dim3 blocks(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z));
  kernel<<<blocks, threads, shared, static_cast<cudaStream_t>(device.stream())>>>(
      Parameters(arguments)...);
#else
  const emulation::Unlock unlock;
  const Index3 blocks{unsigned(grid.x), unsigned(grid.y), unsigned(grid.z)};
  emulation::RunGrid(blocks, {unsigned(threads), 1, 1}, shared,
                     [&] { kernel(Parameters(arguments)...); });
#endif
  device.runtime().CheckLaunch();
}

}  // namespace alignlab::cuda
