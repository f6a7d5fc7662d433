#include "cpu/pool.h"

#include <atomic>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace alignlab {

namespace {

inline void Relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// About a quarter of a millisecond: it bridges the gaps between the operations of a decoding step,
// where waking a sleeper each time costs a fifth of the speed (stories15m, 16 sequences: 4,450
// tokens/s with a fifth of this, 5,400 so), and an idle engine still gives its core back at once.
constexpr int kSpins = 20000;

// Returns once `value` has left `old`: a short spin, then a sleep.
template <class T>
void WaitWhile(const std::atomic<T>& value, T old) {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    Relax();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

Worker::~Worker() { std::free(scratch_); }

void* Worker::Scratch(size_t bytes) {
  if (bytes > scratch_bytes_) {
    std::free(scratch_);
    scratch_bytes_ = 0;
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    scratch_ = rounded >= bytes ? std::aligned_alloc(64, rounded) : nullptr;
    if (!scratch_) throw std::bad_alloc();
    scratch_bytes_ = rounded;
  }
  return scratch_;
}

// A run: the caller writes task, context, tasks and next, then raises `epoch` (release); a thread
// that sees the new epoch (acquire) takes numbers from `next` and counts itself out of `busy`
// (release); the caller returns when it sees busy == 0 (acquire). No thread touches the fields of a
// run between its own count-out and the next epoch, so the caller may then write them again.
struct Pool::State {
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Worker>> workers;  // workers[0] belongs to the caller of Run
  Task task = nullptr;
  void* context = nullptr;
  int64_t tasks = 0;
  bool stop = false;  // read after a new epoch only
  std::mutex failure_mutex;
  std::exception_ptr failure;

  // On lines of their own: each is hammered by other threads while its neighbours are read.
  alignas(64) std::atomic<unsigned> epoch{0};
  alignas(64) std::atomic<int> busy{0};
  alignas(64) std::atomic<int64_t> next{0};

  void Drain(Worker& worker) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
      try {
        task(context, i, worker);
      } catch (...) {
        std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next.store(tasks, std::memory_order_relaxed);
      }
    }
  }

  void Work(Worker& worker, unsigned seen) {
    for (;;) {
      WaitWhile(epoch, seen);
      seen = epoch.load(std::memory_order_acquire);
      if (stop) return;
      Drain(worker);
      if (busy.fetch_sub(1) == 1) busy.notify_one();
    }
  }

  // Sequentially consistent: a thread about to sleep must not miss it.
  void Wake() {
    epoch.fetch_add(1);
    epoch.notify_all();
  }

  void Join() {
    for (int left; (left = busy.load(std::memory_order_acquire)) != 0;) WaitWhile(busy, left);
  }

  void Start(int count) {
    while (int(workers.size()) < count)
      workers.push_back(std::make_unique<Worker>(int(workers.size())));
    threads.reserve(size_t(count));
    const unsigned seen = epoch.load(std::memory_order_relaxed);
    for (int id = 1; id < count; ++id) {
      Worker& worker = *workers[size_t(id)];
      threads.emplace_back([this, &worker, seen] { Work(worker, seen); });
    }
  }

  // Leaves the caller's worker: a pool of one thread.
  void Stop() {
    stop = true;
    Wake();
    for (auto& thread : threads) thread.join();
    threads.clear();
    if (workers.size() > 1) workers.resize(1);
    stop = false;
  }

  ~State() { Stop(); }
};

Pool::Pool(int threads) {
  auto state = std::make_unique<State>();
  state->Start(threads > 1 ? threads : 1);
  state_ = state.release();
}

Pool::~Pool() { delete state_; }

int Pool::threads() const { return int(state_->threads.size()) + 1; }

void Pool::Resize(int threads) {
  state_->Stop();
  try {
    state_->Start(threads > 1 ? threads : 1);
  } catch (...) {  // no more threads to be had: the pool goes on with one
    state_->Stop();
    throw;
  }
}

void Pool::Run(int64_t tasks, Task task, void* context) {
  State& s = *state_;
  if (tasks <= 0) return;
  s.task = task;
  s.context = context;
  s.tasks = tasks;
  s.next.store(0, std::memory_order_relaxed);
  const bool alone = tasks == 1 || s.threads.empty();
  if (!alone) {
    s.busy.store(int(s.threads.size()), std::memory_order_relaxed);
    s.Wake();
  }
  s.Drain(*s.workers[0]);
  if (!alone) s.Join();
  if (s.failure) std::rethrow_exception(std::exchange(s.failure, nullptr));
}

}  // namespace alignlab
