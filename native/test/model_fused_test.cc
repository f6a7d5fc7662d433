// A model on a device that makes one operation of two: it asks for it wherever there is one, keeps
// what the backward pass reads, and has the bits of a model that asks for the two.
#include "backend/lanes.h"
#include "model/initialize.h"
#include "test/backends.h"

namespace {

using namespace alignlab;
using namespace alignlab::test;

// Calls that were taken, with and without what is kept of the forward pass.
struct Calls {
  int kept = 0, not_kept = 0, back = 0;
  bool operator==(const Calls&) const = default;
} calls;
Operations original;

bool CountForward(void* device, const LinearActivationArgs& args) {
  const bool taken = original.linear_activation(device, args);
  if (taken) ++(args.up.data ? calls.kept : calls.not_kept);
  return taken;
}
bool CountBackward(void* device, const LinearInputGradActivationArgs& args) {
  const bool taken = original.linear_input_grad_activation(device, args);
  if (taken) ++calls.back;
  return taken;
}

ModelConfig Config(Activation activation) {
  ModelConfig c;
  c.vocab = 100;
  c.width = 64;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 16;
  c.mlp_width = 104;
  c.max_position = 64;
  c.activation = activation;
  c.mlp_bias = true;
  c.tied_head = true;
  c.attention_scale = 0.25f;
  return c;
}

struct Outcome {
  std::vector<float> scored, trained, gradients;
  bool operator==(const Outcome&) const = default;
};

Outcome Run(const Backend& backend, Activation activation, bool recompute) {
  Model model(backend, Config(activation), DType::kBF16, /*trainable=*/true);
  SingleLane lane(backend.device);
  const CancelToken cancel;
  Initialize(model, 5, 0.1f, lane, cancel);
  Forest forest{{}, {0, 40, 75}, {-1, -1}, {1, 1}, {}};
  for (int32_t i = 0; i < 75; ++i) forest.tokens.push_back(i * 37 % 100);
  Outcome outcome;
  outcome.scored = model.Score(forest, false, cancel).logprobs;
  const auto pass = model.Forward(forest, {false, recompute}, cancel);
  outcome.trained = pass->result().logprobs;
  model.Backward(*pass, Random(6).Normals(int64_t(outcome.trained.size())), {}, {}, cancel);
  outcome.gradients.resize(size_t(model.parameters().elements()));
  backend.memory.copy_out(backend.device, outcome.gradients.data(), model.parameters().gradients(),
                          outcome.gradients.size() * sizeof(float));
  return outcome;
}

void TestModel(const Backend& backend, Activation activation) {
  const Context context("activation " + std::to_string(int(activation)));
  original = backend.ops;
  Backend apart = backend, counted = backend;
  apart.ops.linear_activation = nullptr;
  apart.ops.linear_input_grad_activation = nullptr;
  counted.ops.linear_activation = CountForward;
  counted.ops.linear_input_grad_activation = CountBackward;
  const Outcome expected = Run(apart, activation, false);
  for (const bool recompute : {false, true}) {
    calls = {};
    EXPECT(Run(counted, activation, recompute) == expected);
    EXPECT(calls == Calls(recompute ? 4 : 2, 2, 2));  // of two layers
  }
  EXPECT(expected.scored == expected.trained);
}

}  // namespace

int main() {
  if (!kEmulateCuda) return 0;
  for (const Activation activation : {Activation::kSiluGated, Activation::kGeluTanh})
    for (const cuda::HopperUse use : {cuda::HopperUse::kNever, cuda::HopperUse::kAlways})
      OnEmulatedCuda(use, [&](const Backend& backend) { TestModel(backend, activation); });
  return Report();
}
