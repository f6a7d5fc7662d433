// Starting a kernel, on the GPU or emulated.
#pragma once

#include "cuda/device.h"
#include "cuda/simt.h"
#include "cuda/step.h"

#if !defined(__CUDACC__)
#include <utility>

#include "cuda/emulation/emulation.h"
#include "cuda/emulation/unlock.h"
#endif

namespace alignlab::cuda {

#if !defined(__CUDACC__)
template <class... P>
void RunEmulated(void (*kernel)(P...), const GridSize& grid, int threads, size_t shared,
                 const P&... arguments) {
  const emulation::Unlock unlock;
  const Index3 blocks{unsigned(grid.x), unsigned(grid.y), unsigned(grid.z)};
  emulation::RunGrid(blocks, {unsigned(threads), 1, 1}, shared, [&] { kernel(arguments...); });
}

template <class P>
P ReadArgument(const std::byte* from) {
  alignas(P) std::byte bytes[sizeof(P)];
  std::memcpy(bytes, from, sizeof(P));
  return *reinterpret_cast<const P*>(bytes);
}

template <class... P>
void CallNode(const StepNode& node, const std::byte* const* arguments) {
  const auto kernel = reinterpret_cast<void (*)(P...)>(const_cast<void*>(node.kernel));
  [&]<size_t... kAt>(std::index_sequence<kAt...>) {
    RunEmulated<P...>(kernel, node.grid, node.threads, node.shared,
                      ReadArgument<P>(arguments[kAt])...);
  }
  (std::index_sequence_for<P...>());
}
#endif

inline bool IsEmpty(const GridSize& grid) { return grid.x == 0 || grid.y == 0 || grid.z == 0; }

// Dynamic shared memory that a kernel has to ask for.
template <class... P>
void AllowShared([[maybe_unused]] void (*kernel)(P...), [[maybe_unused]] size_t shared) {
#if defined(__CUDACC__)
  constexpr size_t kWithoutAsking = 48 << 10;
  if (shared > kWithoutAsking)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
#endif
}

// kernel(arguments...) on a grid of blocks of `threads`, each with `shared` bytes of dynamic shared
// memory. A grid without blocks starts nothing. While the device notes a step, the kernel is noted.
template <class... Parameters, class... Arguments>
void Launch(Device& device, void (*kernel)(Parameters...), GridSize grid, int threads,
            size_t shared, Arguments... arguments) {
  if (IsEmpty(grid)) return;
  AllowShared(kernel, shared);
  if (Step* step = device.step()) {
    step->AddKernel<Parameters...>(kernel, grid, threads, shared, Parameters(arguments)...);
    return;
  }
#if defined(__CUDACC__)
  const dim3 blocks(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z));
  kernel<<<blocks, threads, shared, static_cast<cudaStream_t>(device.stream())>>>(
      Parameters(arguments)...);
#else
  RunEmulated<Parameters...>(kernel, grid, threads, shared, Parameters(arguments)...);
#endif
  device.runtime().CheckLaunch();
}

}  // namespace alignlab::cuda
