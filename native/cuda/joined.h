// Kernels that run for several branches of a step at once (step.h, Join): the members of an
// ensemble do the same on networks of their own, each too small for a GPU, and all together are one
// batched product after the other.
//
// Such a kernel is a BodyOf with a function Run(const Args&) for the device. Its grid has no z:
// that is the place of a branch.
#pragma once

#include "cuda/launch.h"
#include "error.h"

namespace alignlab::cuda {

// A: what it reads, plain values. Blocks have kThreads_ threads, at least kBlocks of them fit on a
// multiprocessor.
template <class A, int kThreads_, int kBlocks = 1>
struct BodyOf {
  using Args = A;
  static constexpr int kThreads = kThreads_, kBlocksAtLeast = kBlocks;
  static constexpr bool kAlone = false;  // true: ensembles have no use for it
};

template <class Body>
__global__ void __launch_bounds__(Body::kThreads, Body::kBlocksAtLeast)
    AloneKernel(const __grid_constant__ typename Body::Args args) {
  Body::Run(args);
}

template <class Body>
__global__ void __launch_bounds__(Body::kThreads, Body::kBlocksAtLeast)
    JoinedKernel(const __grid_constant__ Joined<typename Body::Args> args) {
  // Into registers: parameters behind an index that the compiler does not know would be read again
  // wherever they are used, behind branches.
  const typename Body::Args mine = args.of[blockIdx.z];
  Body::Run(mine);
}

template <class Body>
void LaunchBody(Device& device, GridSize grid, size_t shared, const typename Body::Args& args) {
  if (IsEmpty(grid)) return;
  Check(grid.z == 1, "the z of a grid is the place of a branch");
  Launch(device, AloneKernel<Body>, grid, Body::kThreads, shared, args);
  if constexpr (!Body::kAlone) {
    if (Step* step = device.step()) {
      AllowShared(JoinedKernel<Body>, shared);
      step->JoinsBy(JoinedKernel<Body>);
    }
  }
}

}  // namespace alignlab::cuda
