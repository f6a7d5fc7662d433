// The loops of the operations' tests over all backends: instruction sets, the emulated GPU, and the
// real one where there is one.
#pragma once

#include <string>

#include "cuda/emulation/emulation.h"
#include "cuda/library.h"
#include "test/device.h"
#include "test/harness.h"

namespace alignlab::test {

// The backends of the tests below differ in the panels of weights, which the reference reads, too.
class PanelsOf {
 public:
  explicit PanelsOf(const Backend& backend) : before_(reference::panel_width) {
    reference::panel_width = backend.panel;
  }
  ~PanelsOf() { reference::panel_width = before_; }

 private:
  int64_t before_;
};

// Emulated kernels are compiled without AddressSanitizer, which knows nothing of fibers: there they
// would only take time.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kEmulateCuda = false;
#else
constexpr bool kEmulateCuda = true;
#endif

// body(table) for the CUDA backend, emulated. What depends on panels has to be made inside.
template <class Body>
void OnEmulatedCuda(cuda::HopperUse hopper, const Body& body) {
  if (!kEmulateCuda || OnlyDevice()) return;
  const Context context(hopper == cuda::HopperUse::kNever ? "emulated cuda"
                                                          : "emulated cuda, Hopper");
  cuda::CudaBackend gpu(0);
  gpu.device().UseHopper(hopper);
  const PanelsOf panels(gpu.table());
  body(gpu.table());
}

// body(table) for the GPU of this machine, where there is one.
template <class Body>
void OnDevice(const Body& body) {
  const Backend* device = test_device.backend();
  if (!device) return;
  const Context context("cuda");
  const PanelsOf panels(*device);
  body(*device);
}

// The same when it need not be exact.
template <class Body>
void OnFastDevice(const Body& body) {
  const Backend* device = test_device.fast();
  if (!device) return;
  const Context context("cuda, fast");
  const PanelsOf panels(*device);
  body(*device);
}

// body(table) for each instruction set and for the CUDA backend, emulated and real. What depends on
// panels has to be made inside.
template <class Body>
void OnEveryBackend(const Body& body) {
  OnEveryInstructionSet(body);
  OnEmulatedCuda(cuda::HopperUse::kNever, body);
  OnDevice(body);
}

// The same for any order in which the threads of emulated blocks run, and for the order that the
// GPU chooses each time.
template <class Run>
void ExpectSameInAnyOrder(const std::string& what, const Run& run,
                          cuda::HopperUse hopper = cuda::HopperUse::kNever) {
  const auto repeat = [&](const Backend& table) {
    cuda::emulation::SetSeed(1);
    const auto expected = run(table);
    for (uint64_t seed : {2, 3}) {
      cuda::emulation::SetSeed(seed);
      EXPECT_MESSAGE(run(table) == expected, what + ": depends on the order of threads");
    }
  };
  OnEmulatedCuda(hopper, repeat);
  if (hopper == cuda::HopperUse::kNever) OnDevice(repeat);
}

}  // namespace alignlab::test
