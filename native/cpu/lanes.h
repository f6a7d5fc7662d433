// Lanes over a pool: each of its threads is one, with a pool of a single thread as its device.
#pragma once

#include <memory>
#include <vector>

#include "backend/lanes.h"
#include "cpu/pool.h"

namespace alignlab {

class CpuLanes final : public Lanes {
 public:
  explicit CpuLanes(Pool& pool) : pool_(pool) {}
  int count() const override { return pool_.threads(); }
  void* device(int lane) override;
  void Run(int64_t tasks, Task task, void* context) override;

 private:
  Pool& pool_;
  std::vector<std::unique_ptr<Pool>> single_;
};

}  // namespace alignlab
