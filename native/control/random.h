// The random numbers of a member: a function of its seed, of what they are for, and of the update,
// so that a member of an ensemble draws what a run with its seed alone would draw.
#pragma once

#include "backend/control_operations.h"
#include "backend/philox.h"

namespace alignlab {

// Apart from RandomPurpose (philox.h), which counts from 1.
enum class ControlStream : uint32_t {
  kBatch = 0x100,
  kDiscriminatorBatch,
  kDiscriminatorNoise,
  kActorNoise,
  kTargetNoise,
  kNextStates,
  kCqlUniform,
  kCqlCurrent,
  kCqlNext,
  kAct,
  kInspect,
  kInitialise = 0x200,  // + number of the network
};

constexpr uint32_t Purpose(ControlStream stream) { return uint32_t(stream); }

// Draw i of n equally likely numbers (up to n / 2^64): two words of block i / 2.
inline int64_t DrawIndex(uint64_t seed, ControlStream stream, uint64_t step, int64_t i, int64_t n) {
  const PhiloxBlock block =
      Philox4x32(seed, {{uint32_t(i / 2), uint32_t(step), uint32_t(step >> 32), Purpose(stream)}});
  const uint32_t* w = block.word + 2 * (i % 2);
  const uint64_t bits = uint64_t(w[0]) << 32 | w[1];
  return int64_t((unsigned __int128)bits * uint64_t(n) >> 64);
}

}  // namespace alignlab
