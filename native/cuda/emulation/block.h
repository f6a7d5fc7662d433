// A running block of the emulation, for the files that define its instructions.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <random>
#include <vector>

#include "cuda/hopper.h"

namespace alignlab::cuda::emulation {

constexpr unsigned kLanes = 32;
constexpr size_t kMaxShared = 228 << 10;

struct Copy {
  void* to;
  const void* from;  // null: zeros
};

enum class State { kReady, kAtBlockBarrier, kAtWarpBarrier, kAtWarpgroup, kAtBarrier, kDone };

struct Fiber {
  void* stack_pointer = nullptr;
  Index3 index{};
  unsigned number = 0;
  State state = State::kReady;
  unsigned parity = 0;  // of the exchange buffer: lanes may be one exchange apart
  std::vector<std::vector<Copy>> groups;
  std::vector<Copy> open;
  const uint64_t* barrier = nullptr;  // that it waits at
};

struct MmaOperands {
  float a[16][16], b[16][8], d[16][8];
};

struct Warp {
  unsigned live = 0, waiting = 0;
  alignas(16) unsigned char slots[2][kLanes][kSlot];
  MmaOperands mma;
};

// A product of a warpgroup that was started and need not be done.
struct GroupProduct {
  ProductOperands operands;
  unsigned group;
  std::array<float*, kWarpgroup> d;
  std::array<const uint32_t*, kWarpgroup> fragments;  // of A, or null
};

struct Warpgroup {
  unsigned waiting = 0;
  std::array<ProductOperands, kWarpgroup> slots;
  std::array<float*, kWarpgroup> d;
  std::array<const uint32_t*, kWarpgroup> fragments;
  std::deque<GroupProduct> products;
  unsigned groups = 0;  // that are committed
  bool fenced = false;
};

struct BoxCopy {
  char* to;
  TensorMap map;
  int at[3];
  uint64_t* barrier;
};

struct Grid {
  Index3 grid{}, block{}, at{};
  const std::function<void()>* thread = nullptr;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<Warpgroup> warpgroups;
  std::vector<BoxCopy> boxes;  // under way
  unsigned live = 0, waiting = 0;
  Fiber* current = nullptr;
  void* scheduler = nullptr;
  const char* fault = nullptr;
  std::mt19937_64 random;
};

// The grid that this thread runs, or null.
extern thread_local Grid* running;

// To the other threads, until this one is ready again.
void Yield();
void Release(State waiting, Fiber* begin, Fiber* end);
// Of what is left of a block whose threads have ended.
const char* FaultOfRest(const Grid& grid);

}  // namespace alignlab::cuda::emulation
