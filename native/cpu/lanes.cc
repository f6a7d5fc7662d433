#include "cpu/lanes.h"

namespace alignlab {

void* CpuLanes::device(int lane) {
  while (int(single_.size()) <= lane) single_.push_back(std::make_unique<Pool>(1));
  return single_[size_t(lane)].get();
}

void CpuLanes::Run(int64_t tasks, Task task, void* context) {
  device(count() - 1);  // all of them are there before the threads look
  struct Call {
    Task task;
    void* context;
  } call{task, context};
  pool_.Run(
      tasks,
      [](void* raw, int64_t index, Worker& worker) {
        const auto* c = static_cast<const Call*>(raw);
        c->task(c->context, index, worker.id());
      },
      &call);
}

}  // namespace alignlab
