// The random numbers of a member: a function of its seed, of what they are for, and of the update,
// so that a member of an ensemble draws what a run with its seed alone would draw.
#pragma once

#include "backend/control_operations.h"

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

}  // namespace alignlab
