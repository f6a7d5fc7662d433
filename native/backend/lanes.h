// Independent pieces of work side by side, each of which calls a backend's operations: those use
// all threads when they are given the backend's own device, and only the calling one when they
// are given the device of a lane.
#pragma once

#include <cstdint>

namespace alignlab {

class Lanes {
 public:
  virtual ~Lanes() = default;
  virtual int count() const = 0;  // pieces that run at the same time
  // The `device` argument for operations of a piece that runs on this lane, 0 .. count() - 1.
  virtual void* device(int lane) = 0;

  // Calls task(context, i, lane) for each i in [0, tasks) and waits; at any time a lane has one
  // task. The first exception is rethrown when all have stopped.
  using Task = void (*)(void* context, int64_t index, int lane);
  virtual void Run(int64_t tasks, Task task, void* context) = 0;

  template <class F>
  void Each(int64_t tasks, F body) {
    Run(
        tasks, [](void* context, int64_t i, int lane) { (*static_cast<F*>(context))(i, lane); },
        &body);
  }
};

// One piece after the other, on a device of its own.
class SingleLane final : public Lanes {
 public:
  explicit SingleLane(void* device) : device_(device) {}
  int count() const override { return 1; }
  void* device(int) override { return device_; }
  void Run(int64_t tasks, Task task, void* context) override {
    for (int64_t i = 0; i < tasks; ++i) task(context, i, 0);
  }

 private:
  void* device_;
};

}  // namespace alignlab
