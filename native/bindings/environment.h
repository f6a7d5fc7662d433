// Per-environment data of the addon: constructors, and the engine once something is computed.
#pragma once

#include "bindings/engine.h"

namespace alignlab {

struct Environment {
  Napi::FunctionReference model_constructor, pass_constructor;
  std::shared_ptr<Engine> engine;
};

}  // namespace alignlab
