// The operations of a scope, started as one at Run() where the device can (backend.h,
// StepOperations).
#pragma once

#include "backend/backend.h"

namespace alignlab {

class NotedStep {
 public:
  // wanted: otherwise operations start as they are called, and Run does nothing. branches: as many
  // as Branch() will name.
  NotedStep(const Backend& backend, bool wanted, int64_t branches = 1)
      : backend_(backend), noting_(wanted && backend.steps.begin) {
    if (noting_) backend_.steps.begin(backend_.device, int32_t(branches));
  }
  ~NotedStep() {
    if (noting_) backend_.steps.end(backend_.device);
  }
  NotedStep(const NotedStep&) = delete;
  NotedStep& operator=(const NotedStep&) = delete;

  // What follows belongs to this branch of the step.
  void Branch(int64_t number) {
    if (noting_) backend_.steps.branch(backend_.device, int32_t(number));
  }
  void Run() {
    if (!noting_) return;
    backend_.steps.run(backend_.device);
    noting_ = false;
  }

 private:
  const Backend& backend_;
  bool noting_;
};

}  // namespace alignlab
