// A lambda over the pool's tasks, without std::function, and memory that the tasks share.
#pragma once

#include <new>

#include "cpu/pool.h"

namespace alignlab {
namespace {

template <class F>
inline void ParallelFor(void* device, int64_t tasks, const F& body) {
  static_cast<Pool*>(device)->Run(
      tasks,
      [](void* context, int64_t index, Worker& worker) {
        (*static_cast<const F*>(context))(index, worker);
      },
      const_cast<F*>(&body));
}

// Memory that tasks share during one operation.
class SharedMemory {
 public:
  explicit SharedMemory(size_t bytes) : data_(::operator new(bytes, std::align_val_t(64))) {}
  ~SharedMemory() { ::operator delete(data_, std::align_val_t(64)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  float* f32() const { return static_cast<float*>(data_); }
  uint16_t* bf16() const { return static_cast<uint16_t*>(data_); }

 private:
  void* data_;
};

}  // namespace
}  // namespace alignlab
