// The GPU of this machine as one more backend of the operations' tests, by the library that was
// built or that ALIGNLAB_CUDA_LIBRARY names. Where there is none, each test says so.
#pragma once

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "backend/cuda_library.h"
#include "error.h"
#include "test/device_heap.h"

namespace alignlab::test {

class TestDevice {
 public:
  TestDevice() {
    const std::string reason = Open();
    std::printf("CUDA device: %s\n", reason.empty() ? name_.c_str() : reason.c_str());
  }
  // Null where there is none.
  const Backend* backend() const { return backend_; }
  // The same GPU when it need not be exact.
  const Backend* fast() const {
    static const Backend* const fast = backend_ ? OpenForGood(/*exact=*/false) : nullptr;
    return fast;
  }

 private:
  // Never closed: when a program ends, what the library itself needs may be gone first.
  static const Backend* OpenForGood(bool exact) {
    return (new auto(CudaLibrary::Get().Open(0, exact)))->get();
  }
  std::string Open() {
#if defined(ALIGNLAB_BUILT_CUDA_LIBRARY)
    struct stat status;
    if (stat(ALIGNLAB_BUILT_CUDA_LIBRARY, &status) == 0)
      setenv("ALIGNLAB_CUDA_LIBRARY", ALIGNLAB_BUILT_CUDA_LIBRARY, /*overwrite=*/0);
#endif
    // The tests read results as soon as an operation has returned.
    setenv("CUDA_LAUNCH_BLOCKING", "1", /*overwrite=*/1);
    const CudaLibrary& library = CudaLibrary::Get();
    if (library.device_count() == 0) return "left out: " + library.reason();
    try {
      name_ = library.Describe(0).name;
      const bool emulated = name_.rfind("emulated", 0) == 0;  // it reads the host's memory anyway
      const std::string reason = emulated ? "" : ShareHeapWithDevice(0);
      if (!reason.empty()) return "left out: " + reason;
      backend_ = OpenForGood(/*exact=*/true);
    } catch (const Error& error) {
      return std::string("left out: ") + error.what();
    }
    return "";
  }

  std::string name_;
  const Backend* backend_ = nullptr;
};

// Opened before main: what a test allocates has to be shared with the device from the start.
inline const TestDevice test_device;

}  // namespace alignlab::test
