// While one of these lives, emulated device memory can be read and written.
#pragma once

namespace alignlab::cuda::emulation {

class Unlock {
 public:
  Unlock();
  ~Unlock();
  Unlock(const Unlock&) = delete;
  Unlock& operator=(const Unlock&) = delete;
};

}  // namespace alignlab::cuda::emulation
