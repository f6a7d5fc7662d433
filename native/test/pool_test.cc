// The fork-join pool: every task once, exceptions, reuse after them, resizing, scratch memory.
#include "cpu/pool.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cpu/backend.h"
#include "cpu/isa.h"
#include "cpu/kernels/parallel.h"
#include "error.h"
#include "test/check.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

// Plain ints: a task run twice or a result not visible to the caller is a wrong count.
void ExpectEachOnce(Pool& pool, int64_t tasks) {
  std::vector<int> runs(size_t(tasks), 0);
  ParallelFor(&pool, tasks, [&](int64_t i, Worker&) { ++runs[size_t(i)]; });
  for (int count : runs)
    if (count != 1) return void(EXPECT(count == 1));
  EXPECT(true);
}

void TestEachTaskOnce() {
  for (int threads : {1, 2, 3, 5}) {
    Pool pool(threads);
    EXPECT(pool.threads() == threads);
    for (int64_t tasks : {0, 1, 2, 3, 17, 1000}) ExpectEachOnce(pool, tasks);
    for (int repeat = 0; repeat < 300; ++repeat) ExpectEachOnce(pool, 1 + repeat % 7);
  }
}

// Threads that have gone to sleep wake up for the next run.
void TestSleep() {
  Pool pool(3);
  for (int repeat = 0; repeat < 5; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ExpectEachOnce(pool, 100);
  }
}

void TestExceptions() {
  for (int threads : {1, 2, 3}) {
    Pool pool(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::atomic<int> ran{0};
      bool caught = false;
      try {
        ParallelFor(&pool, 100, [&](int64_t i, Worker&) {
          ++ran;
          if (i % 3 == repeat % 3) throw std::runtime_error("task " + std::to_string(i));
        });
      } catch (const std::runtime_error& error) {
        caught = std::strncmp(error.what(), "task ", 5) == 0;
      }
      EXPECT(caught);
      EXPECT(ran <= 100);
      ExpectEachOnce(pool, 50);  // the same threads go on, with no memory of the failure
    }
    EXPECT(pool.threads() == threads);
  }
}

void TestScratch() {
  Pool pool(3);
  for (size_t bytes : {1, 64, 5000, 100000, 64}) {
    std::atomic<int> wrong{0};
    ParallelFor(&pool, 64, [&](int64_t i, Worker& worker) {
      auto* memory = static_cast<unsigned char*>(worker.Scratch(bytes));
      if (reinterpret_cast<uintptr_t>(memory) % 64) ++wrong;
      std::memset(memory, int(i), bytes);
      std::this_thread::yield();
      for (size_t at = 0; at < bytes; ++at) wrong += memory[at] != (unsigned char)(i);
    });
    EXPECT(wrong == 0);
  }
  bool refused = false;
  try {
    ParallelFor(&pool, 8, [&](int64_t, Worker& worker) { worker.Scratch(size_t(1) << 62); });
  } catch (const std::bad_alloc&) {
    refused = true;
  }
  EXPECT(refused);
  ParallelFor(&pool, 8, [&](int64_t, Worker& worker) { std::memset(worker.Scratch(256), 1, 256); });
}

void TestResize() {
  Pool pool(1);
  for (int threads : {3, 1, 2, 4, 2}) {
    pool.Resize(threads);
    EXPECT(pool.threads() == threads);
    ExpectEachOnce(pool, 200);
  }
  pool.Resize(0);  // never less than the caller
  EXPECT(pool.threads() == 1);
  ExpectEachOnce(pool, 3);
}

// Work reaches every thread: three tasks that wait for each other need three threads.
void TestAllThreadsWork() {
  Pool pool(3);
  std::atomic<int> arrived{0};
  ParallelFor(&pool, 3, [&](int64_t, Worker&) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  EXPECT(arrived == 3);
}

// A thread that the machine has taken away, here by a signal whose handler does not return, holds
// up no run that it has not entered.
std::atomic<bool> held{false}, released{false};

void TestAbsentThread() {
  Pool pool(2);
  std::atomic<pthread_t> other{};
  std::atomic<int> arrived{0};
  ParallelFor(&pool, 2, [&](int64_t, Worker& worker) {
    if (worker.id() == 1) other = pthread_self();
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  std::signal(SIGUSR1, [](int) {
    held = true;
    while (!released) {
    }
  });
  EXPECT(pthread_kill(other, SIGUSR1) == 0);
  while (!held) std::this_thread::yield();
  for (int repeat = 0; repeat < 3; ++repeat) ExpectEachOnce(pool, 10);
  released = true;
  for (int repeat = 0; repeat < 300; ++repeat) ExpectEachOnce(pool, 1 + repeat % 7);
  std::signal(SIGUSR1, SIG_DFL);
}

void TestInstructionSets() {
  std::set<std::string> names;
  for (const InstructionSet& set : InstructionSets()) {
    names.insert(set.name);
    if (!set.supported) continue;
    EXPECT(SelectInstructionSet(set.name).name == std::string(set.name));
    EXPECT(CpuBackend(1, set.name).table().variant == std::string(set.name));
    setenv("ALIGNLAB_ISA", set.name, 1);
    EXPECT(SelectInstructionSet(nullptr).operations == set.operations);
  }
  EXPECT(names.count("portable") == 1);
  setenv("ALIGNLAB_ISA", "sse9", 1);
  std::string message, code;
  try {
    CpuBackend backend(1);
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  }
  EXPECT(code == "ISA_UNSUPPORTED");
  EXPECT(message.find("sse9") != std::string::npos);
  EXPECT(message.find("portable") != std::string::npos);
  unsetenv("ALIGNLAB_ISA");
  CpuBackend fastest(1);
  const Backend& table = fastest.table();
  EXPECT(table.abi == kBackendAbi);
  EXPECT(table.panel == 16);
}

}  // namespace

int main() {
  TestEachTaskOnce();
  TestSleep();
  TestExceptions();
  TestScratch();
  TestResize();
  TestAllThreadsWork();
  TestAbsentThread();
  TestInstructionSets();
  return Report();
}
