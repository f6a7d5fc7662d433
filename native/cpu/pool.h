// Fork-join threads of the CPU backend. Work is cut into numbered tasks whose results do not
// depend on who runs them; threads take the next number from a counter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace alignlab {

class Pool;

// What a task may use of the thread that runs it.
class Worker {
 public:
  explicit Worker(int id) : id_(id) {}
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // At least `bytes` of 64-byte aligned memory, kept until the next call on this thread: ask once
  // per task for all that it needs. Throws std::bad_alloc.
  void* Scratch(size_t bytes);
  int id() const { return id_; }

 private:
  int id_;
  void* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
};

class Pool {
 public:
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const;
  // Not while Run is in progress.
  void Resize(int threads);

  // Calls task(context, i, worker) for each i in [0, tasks), on all threads, and waits. The first
  // exception of a task is rethrown here, after all threads have stopped.
  using Task = void (*)(void* context, int64_t index, Worker& worker);
  void Run(int64_t tasks, Task task, void* context);

 private:
  struct State;
  State* state_;
};

}  // namespace alignlab
