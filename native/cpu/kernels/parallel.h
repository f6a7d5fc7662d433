// A lambda over the pool's tasks, without std::function.
#pragma once

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

}  // namespace
}  // namespace alignlab
