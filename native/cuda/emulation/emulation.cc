#include "cuda/emulation/emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "cuda/emulation/block.h"
#include "error.h"

// Saves the callee's registers on the stack, keeps the stack pointer in *save and goes on where
// `load` was kept. System V AMD64.
extern "C" void alignlab_switch_stack(void** save, void* load);
asm(R"(
.text
.type alignlab_switch_stack, @function
alignlab_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size alignlab_switch_stack, .-alignlab_switch_stack
)");

namespace alignlab::cuda::emulation {

thread_local Grid* running = nullptr;

void Yield() {
  Grid& grid = *running;
  alignlab_switch_stack(&grid.current->stack_pointer, grid.scheduler);
}

void Release(State waiting, Fiber* begin, Fiber* end) {
  for (Fiber* f = begin; f != end; ++f)
    if (f->state == waiting) f->state = State::kReady;
}

namespace {

constexpr size_t kStackBytes = 128 << 10;
constexpr unsigned kMaxThreads = 1024;

class Stacks {
 public:
  Stacks()
      : memory_(mmap(nullptr, kStackBytes * kMaxThreads, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    Check(memory_ != MAP_FAILED, "stacks of emulated threads");
  }
  ~Stacks() { munmap(memory_, kStackBytes * kMaxThreads); }
  char* Top(unsigned i) const { return static_cast<char*>(memory_) + kStackBytes * (i + 1); }

 private:
  void* memory_;
};

// Where blocks on this thread keep their dynamic shared memory.
struct Shared {
  alignas(1024) char bytes[kMaxShared];
};

thread_local std::unique_ptr<Stacks> stacks;
thread_local std::unique_ptr<Shared> shared;
uint64_t seed = 1;

Warp& CurrentWarp() { return running->warps[running->current->number / kLanes]; }

void ReleaseWarp(unsigned warp) {
  Grid& grid = *running;
  const size_t begin = warp * kLanes, end = std::min<size_t>(begin + kLanes, grid.fibers.size());
  grid.warps[warp].waiting = 0;
  Release(State::kAtWarpBarrier, grid.fibers.data() + begin, grid.fibers.data() + end);
}

void ReleaseBlock() {
  Grid& grid = *running;
  grid.waiting = 0;
  Release(State::kAtBlockBarrier, grid.fibers.data(), grid.fibers.data() + grid.fibers.size());
}

// The last lane to arrive runs `last` for all of them.
template <class F>
void MeetWarp(const F& last) {
  Fiber& fiber = *running->current;
  Warp& warp = CurrentWarp();
  if (++warp.waiting == warp.live) {
    if (warp.live != kLanes) running->fault = "a warp acted together without all of its lanes";
    last(warp);
    ReleaseWarp(fiber.number / kLanes);
    return;
  }
  fiber.state = State::kAtWarpBarrier;
  Yield();
}

void FiberMain() {
  Grid& grid = *running;
  (*grid.thread)();
  Fiber& fiber = *grid.current;
  if (!fiber.open.empty() || !fiber.groups.empty())
    grid.fault = "an asynchronous copy was never waited for";
  fiber.state = State::kDone;
  Warp& warp = CurrentWarp();
  --warp.live;
  --grid.live;
  if (warp.live > 0 && warp.waiting == warp.live) ReleaseWarp(fiber.number / kLanes);
  if (grid.live > 0 && grid.waiting == grid.live) ReleaseBlock();
  Yield();
}

void* NewStack(unsigned i) {
  void** top = reinterpret_cast<void**>(stacks->Top(i));
  *--top = nullptr;  // FiberMain never returns; its frame is aligned as after a call
  *--top = reinterpret_cast<void*>(&FiberMain);
  return top - 6;  // the registers that the first switch pops
}

void StartBlock(Grid& grid) {
  const Index3 n = grid.block;
  const unsigned threads = n.x * n.y * n.z;
  grid.fibers.assign(threads, {});
  grid.warps.assign((threads + kLanes - 1) / kLanes, {});
  grid.warpgroups.assign((threads + kWarpgroup - 1) / kWarpgroup, {});
  grid.boxes.clear();
  grid.live = threads;
  grid.waiting = 0;
  for (unsigned i = 0; i < threads; ++i) {
    Fiber& f = grid.fibers[i];
    f.number = i;
    f.index = {i % n.x, i / n.x % n.y, i / n.x / n.y};
    f.stack_pointer = NewStack(i);
    ++grid.warps[i / kLanes].live;
  }
}

void RunBlock(Grid& grid) {
  StartBlock(grid);
  std::vector<unsigned> order(grid.fibers.size());
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), grid.random);
  while (grid.live > 0 && !grid.fault) {
    bool moved = false;
    for (unsigned i : order) {
      Fiber& fiber = grid.fibers[i];
      if (fiber.state != State::kReady) continue;
      moved = true;
      grid.current = &fiber;
      alignlab_switch_stack(&grid.scheduler, fiber.stack_pointer);
    }
    if (!moved) grid.fault = "threads of a block wait for one another for ever";
  }
  if (!grid.fault) grid.fault = FaultOfRest(grid);
}

}  // namespace

Index3 ThreadIndex() { return running->current->index; }
Index3 BlockIndex() { return running->at; }
Index3 BlockSize() { return running->block; }
Index3 GridSize() { return running->grid; }
char* SharedMemory() { return shared->bytes; }

void BlockBarrier() {
  Grid& grid = *running;
  if (++grid.waiting == grid.live) {
    ReleaseBlock();
    return;
  }
  grid.current->state = State::kAtBlockBarrier;
  Yield();
}

void WarpBarrier() {
  MeetWarp([](Warp&) {});
}

const unsigned char* Exchange(const void* value, size_t size) {
  Fiber& fiber = *running->current;
  auto& slots = CurrentWarp().slots[fiber.parity];
  fiber.parity ^= 1;
  std::memcpy(slots[fiber.number % kLanes], value, size);
  WarpBarrier();
  return slots[0];
}

void CopyAsync(void* to, const void* from, bool valid) {
  const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  if (!aligned(to) || (valid && !aligned(from))) running->fault = "a copy is not aligned";
  running->current->open.push_back({to, valid ? from : nullptr});
}

void CommitCopies() {
  Fiber& fiber = *running->current;
  fiber.groups.push_back(std::move(fiber.open));
  fiber.open.clear();
}

void WaitCopies(int newest) {
  auto& groups = running->current->groups;
  while (int(groups.size()) > newest) {
    for (const Copy& copy : groups.front()) {
      if (copy.from)
        std::memcpy(copy.to, copy.from, 16);
      else
        std::memset(copy.to, 0, 16);
    }
    groups.erase(groups.begin());
  }
}

// Fragments as simt_nvcc.h describes them, gathered into whole matrices, multiplied once, handed
// out.
void Mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
  MmaOperands& m = CurrentWarp().mma;
  const unsigned lane = running->current->number % kLanes, g = lane / 4, t = 2 * (lane % 4);
  const auto unpack = [](uint32_t pair, float* low, float* high) {
    const uint32_t bits[2] = {pair << 16, pair & 0xffff0000u};
    std::memcpy(low, &bits[0], 4);
    std::memcpy(high, &bits[1], 4);
  };
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = g + 8 * (i % 2), col = t + 8 * (i / 2);
    unpack(a[i], &m.a[row][col], &m.a[row][col + 1]);
    m.d[g + 8 * (i / 2)][t + i % 2] = d[i];
  }
  unpack(b0, &m.b[t][g], &m.b[t + 1][g]);
  unpack(b1, &m.b[t + 8][g], &m.b[t + 9][g]);
  MeetWarp([](Warp& warp) {
    MmaOperands& x = warp.mma;
    for (int row = 0; row < 16; ++row)
      for (int k = 0; k < 16; ++k)
        for (int col = 0; col < 8; ++col) x.d[row][col] += x.a[row][k] * x.b[k][col];
  });
  for (unsigned i = 0; i < 4; ++i) d[i] = m.d[g + 8 * (i / 2)][t + i % 2];
  WarpBarrier();  // before a faster lane puts its next operands there
}

void SetSeed(uint64_t value) { seed = value; }
uint64_t Seed() { return seed; }

void RunGrid(Index3 grid_size, Index3 block_size, size_t shared_bytes,
             const std::function<void()>& thread) {
  const unsigned threads = block_size.x * block_size.y * block_size.z;
  Check(threads >= 1 && threads <= kMaxThreads && shared_bytes <= kMaxShared, "emulated launch");
  Check(running == nullptr, "an emulated kernel launched another one");
  if (!stacks) stacks = std::make_unique<Stacks>();
  if (!shared) shared = std::make_unique<Shared>();
  Grid grid;
  grid.grid = grid_size;
  grid.block = block_size;
  grid.thread = &thread;
  grid.random.seed(seed);
  running = &grid;
  for (unsigned z = 0; z < grid_size.z && !grid.fault; ++z)
    for (unsigned y = 0; y < grid_size.y && !grid.fault; ++y)
      for (unsigned x = 0; x < grid_size.x && !grid.fault; ++x) {
        // What another block left there is not zero on a GPU, either.
        std::memset(shared->bytes, 0xff, shared_bytes);
        grid.at = {x, y, z};
        RunBlock(grid);
      }
  running = nullptr;
  Check(!grid.fault, grid.fault ? grid.fault : "");
}

}  // namespace alignlab::cuda::emulation
