// Reads what src/control/ passes; as in arguments.h, a wrong type here is a bug of the façade.
#pragma once

#include <napi.h>

#include "control/learner.h"

namespace alignlab {

ControlSettings ReadLearnerSettings(const Napi::Object& object);
// Views of the typed arrays of {n, obs, act, rew, next, done}: no longer than the call.
TransitionColumns ReadTransitions(const Napi::Value& value, const ControlSettings& settings);

}  // namespace alignlab
