// Boxes and barriers of hopper.h on the CPU.
#include "cuda/hopper.h"

#include <bit>
#include <utility>

#include "cuda/emulation/block.h"
#include "error.h"

namespace alignlab::cuda {

bool HasTensorMaps() { return true; }

namespace {

// What cuTensorMapEncodeTiled asks of 16-bit elements and 128-byte swizzle.
TensorMap Checked(const TensorMap& map) {
  bool good = reinterpret_cast<uintptr_t>(map.data) % 16 == 0;
  for (int i = 0; i < map.dims; ++i) {
    good &= map.size[i] >= 1 && map.size[i] <= int64_t(1) << 32;
    good &= map.box[i] >= 1 && map.box[i] <= 256;
    good &= i == 0 || (map.stride[i] * 2 % 16 == 0 && map.stride[i] * 2 < int64_t(1) << 40);
  }
  Check(good, "a tensor map that the driver would refuse");
  return map;
}

}  // namespace

TensorMap MakeTensorMap(const BoxedMatrix& m) {
  return Checked({static_cast<const uint16_t*>(m.data),
                  2,
                  {m.cols, m.rows, 1},
                  {1, m.stride, 0},
                  {kBoxCols, m.box_rows, 1}});
}

TensorMap MakeTensorMap(const BoxedHeads& h) {
  return Checked({static_cast<const uint16_t*>(h.data),
                  3,
                  {h.cols, h.heads, h.rows},
                  {1, h.head_stride, h.row_stride},
                  {kBoxCols, h.box_heads, h.box_rows}});
}

namespace emulation {

namespace {

// A barrier's 64 bits. Memory that no barrier was made in is all ones.
struct BarrierState {
  uint64_t phase : 1, arrivals : 20, pending : 20, unmade : 1;
  int64_t bytes : 22;  // expected less those that came
};
static_assert(sizeof(BarrierState) == sizeof(uint64_t));

BarrierState Read(const uint64_t* barrier) {
  const auto state = std::bit_cast<BarrierState>(*barrier);
  if (state.unmade) running->fault = "a barrier was used before it was made";
  return state;
}

void WakeAt(const uint64_t* barrier) {
  for (Fiber& f : running->fibers)
    if (f.state == State::kAtBarrier && f.barrier == barrier) f.state = State::kReady;
}

void Write(uint64_t* barrier, BarrierState state) {
  const bool over = state.pending == 0 && state.bytes == 0;
  if (over) {
    state.phase ^= 1;
    state.pending = state.arrivals;
  }
  *barrier = std::bit_cast<uint64_t>(state);
  if (over) WakeAt(barrier);
}

void Land(const BoxCopy& box) {
  const TensorMap& m = box.map;
  for (int line = 0; line < m.Lines(); ++line)
    for (int c = 0; c < kBoxCols; ++c) {
      const int64_t place[3] = {int64_t(box.at[0]) + c, int64_t(box.at[1]) + line % m.box[1],
                                int64_t(box.at[2]) + line / m.box[1]};
      int64_t element = 0;
      bool inside = true;
      for (int i = 0; i < 3; ++i) {
        inside &= place[i] >= 0 && place[i] < m.size[i];
        element += place[i] * m.stride[i];
      }
      const uint16_t x = inside ? m.data[element] : 0;
      uint32_t at = SharedAddress(box.to) + uint32_t(line * kBoxLine + c * 2);
      at ^= (at >> 7 & 7) << 4;
      std::memcpy(SharedMemory() + at, &x, sizeof x);
    }
  BarrierState state = Read(box.barrier);
  state.bytes -= m.Lines() * kBoxLine;
  Write(box.barrier, state);
}

void LandAll(const uint64_t* barrier) {
  auto boxes = std::move(running->boxes);
  running->boxes.clear();
  for (const BoxCopy& box : boxes)
    if (box.barrier == barrier)
      Land(box);
    else
      running->boxes.push_back(box);
}

}  // namespace

void InitBarrier(uint64_t* barrier, int arrivals) {
  *barrier = std::bit_cast<uint64_t>(BarrierState{0, uint64_t(arrivals), uint64_t(arrivals), 0, 0});
}

void Arrive(uint64_t* barrier, int bytes) {
  BarrierState state = Read(barrier);
  if (state.pending == 0) running->fault = "more threads arrived at a barrier than it counts";
  state.bytes += bytes;
  --state.pending;
  Write(barrier, state);
}

void WaitBarrier(uint64_t* barrier, uint32_t parity) {
  Fiber& fiber = *running->current;
  while (!running->fault && Read(barrier).phase == parity) {
    LandAll(barrier);
    if (Read(barrier).phase != parity) return;
    fiber.barrier = barrier;
    fiber.state = State::kAtBarrier;
    Yield();
  }
}

void CopyBox(char* shared, const TensorMap& map, int dims, const int (&at)[3], uint64_t* barrier) {
  if (SharedAddress(shared) % kBoxLine != 0 ||
      SharedAddress(shared) + map.Lines() * kBoxLine > kMaxShared)
    running->fault = "a box does not begin at a multiple of 128 bytes of shared memory";
  if (map.dims != dims) running->fault = "a box has other dimensions than its tensor map";
  const BoxCopy box{shared, map, {at[0], at[1], at[2]}, barrier};
  if (running->random() % 2) return Land(box);
  running->boxes.push_back(box);
  WakeAt(barrier);
}

}  // namespace emulation

}  // namespace alignlab::cuda
