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

// Returns the first of gate's values that `enough` takes: a short spin, then a sleep. `bell`
// changes and is rung whenever there may be such a value.
template <class F>
uint32_t WaitFor(const std::atomic<uint32_t>& gate, const std::atomic<uint32_t>& bell,
                 const F& enough) {
  for (int spin = 0;; ++spin) {
    const uint32_t rung = bell.load();
    const uint32_t now = gate.load();
    if (enough(now)) return now;
    if (spin < kSpins)
      Relax();
    else
      bell.wait(rung);
  }
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

// A run: the caller writes task, context, tasks and next, then opens the gate under a new number. A
// thread that sees it open enters, takes numbers from `next` and leaves. When the caller finds no
// number left it closes the gate, and returns once nobody is inside: for a thread that the machine
// keeps busy otherwise, or that is still waking up, nobody waits. The fields of a run are read
// inside only, so the caller may write them again.
struct Pool::State {
  // The gate: number of the run, whether it is open, threads inside. In 32 bits, which a thread can
  // sleep on directly; that the number comes round does no harm, at worst a thread misses a run.
  static constexpr uint32_t kInside = 0x7fff, kOpen = 0x8000, kRun = 0x10000;
  static bool SameRun(uint32_t a, uint32_t b) { return (a ^ b) < kRun; }

  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Worker>> workers;  // workers[0] belongs to the caller of Run
  Task task = nullptr;
  void* context = nullptr;
  int64_t tasks = 0;
  std::atomic<bool> stop = false;
  std::mutex failure_mutex;
  std::exception_ptr failure;

  // On lines of their own: each is hammered by other threads while its neighbours are read.
  alignas(64) std::atomic<uint32_t> gate{0};
  alignas(64) std::atomic<uint32_t> emptied{0};  // how often the last thread left a closed gate
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

  // False when the run was over before.
  bool Enter(uint32_t& seen) {
    while (seen & kOpen)
      if (gate.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) return true;
    return false;
  }
  // Sequentially consistent, as Close and Join are: one of them sees what the other did.
  void Leave() {
    if ((gate.fetch_sub(1) & (kOpen | kInside)) != 1) return;
    emptied.fetch_add(1);
    emptied.notify_one();
  }

  void Work(Worker& worker, uint32_t seen) {
    for (;;) {
      const uint32_t last = seen;
      seen = WaitFor(gate, gate, [&](uint32_t now) { return !SameRun(now, last); });
      if (stop.load(std::memory_order_relaxed)) return;
      if (!Enter(seen)) continue;
      Drain(worker);
      Leave();
    }
  }

  // Sequentially consistent: a thread about to sleep must not miss it.
  void Open(uint32_t open) {
    const uint32_t run = gate.load(std::memory_order_relaxed) / kRun * kRun + kRun;
    gate.store(run | open);
    gate.notify_all();
  }
  void Close() {
    gate.fetch_and(~kOpen);
    WaitFor(gate, emptied, [](uint32_t now) { return (now & kInside) == 0; });
  }

  void Start(int count) {
    while (int(workers.size()) < count)
      workers.push_back(std::make_unique<Worker>(int(workers.size())));
    threads.reserve(size_t(count));
    const uint32_t seen = gate.load(std::memory_order_relaxed);
    for (int id = 1; id < count; ++id) {
      Worker& worker = *workers[size_t(id)];
      threads.emplace_back([this, &worker, seen] { Work(worker, seen); });
    }
  }

  // Leaves the caller's worker: a pool of one thread.
  void Stop() {
    stop = true;
    Open(0);
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
  if (!alone) s.Open(State::kOpen);
  s.Drain(*s.workers[0]);
  if (!alone) s.Close();
  if (s.failure) std::rethrow_exception(std::exchange(s.failure, nullptr));
}

}  // namespace alignlab
