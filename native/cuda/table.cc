#include "cuda/library.h"
#include "cuda/operations.h"
#include "error.h"

namespace alignlab::cuda {

namespace {

Device& Of(void* device) { return *static_cast<Device*>(device); }

constexpr Operations kOperations = {
    .embed = Embed,
    .embed_backward = EmbedBackward,
    .norm = Norm,
    .norm_backward = NormBackward,
    .linear = Linear,
    .linear_input_grad = LinearInputGrad,
    .linear_weight_grad = LinearWeightGrad,
    .qkv = Qkv,
    .qkv_backward = QkvBackward,
    .attention = Attention,
    .attention_backward = AttentionBackward,
    .activation = ActivationForward,
    .activation_backward = ActivationBackward,
    .head = Head,
    .head_backward = HeadBackward,
    .head_kl = HeadKl,
    .sample = Sample,
    .adamw = AdamW,
    .adamw_split = AdamWSplit,
    .convert = Convert,
    .gather_rows = GatherRows,
    .scatter_add_rows = ScatterAddRows,
    .split_weights = SplitWeights,
    .join_weights = JoinWeights,
    .sum_squares = SumSquares,
    .axpby = Axpby,
    .burn = Burn,
    .linear_activation = LinearActivation,
    .linear_input_grad_activation = LinearInputGradActivation,
};

constexpr ControlOperations kControl = {
    .uniforms = Uniforms,
    .normals = Normals,
    .draw_rows = DrawRows,
    .adam = Adam,
    .relu = Relu,
    .relu_backward = ReluBackward,
    .squash = Squash,
    .actor_loss = ActorLoss,
    .policy_gradient = PolicyGradient,
    .targets = Targets,
    .discriminator_loss = DiscriminatorLoss,
    .ratio_inputs = RatioInputs,
    .log_ratios = LogRatios,
    .weigh = Weigh,
    .conservative_inputs = ConservativeInputs,
    .conservative_loss = ConservativeLoss,
    .critic_loss = CriticLoss,
};

constexpr MemoryOperations kMemory = {
    .host = false,
    .allocate =
        [](void* device, size_t bytes) {
          Runtime& runtime = Of(device).runtime();
          void* data = runtime.Allocate(bytes);
          if (data) runtime.Zero(data, bytes);
          return data;
        },
    .release = [](void* device, void* data,
                  size_t bytes) { Of(device).runtime().Release(data, bytes); },
    .zero = [](void* device, void* data, size_t bytes) { Of(device).Zero(data, bytes); },
    .copy = [](void* device, void* to, const void* from,
               size_t bytes) { Of(device).Copy(to, from, bytes); },
    .copy_in =
        [](void* device, void* to, const void* from, size_t bytes) {
          // The host's memory is pageable: CUDA has taken its copy when the call returns.
          Of(device).runtime().CopyIn(to, from, bytes);
        },
    .copy_out = [](void* device, void* to, const void* from,
                   size_t bytes) { Of(device).CopyOut(to, from, bytes); },
};

constexpr StepOperations kSteps = {
    .begin = [](void* device, int32_t branches) { Of(device).BeginStep(branches); },
    .branch = [](void* device, int32_t number) { Of(device).BranchStep(number); },
    .run = [](void* device) { Of(device).RunStep(); },
    .end = [](void* device) { Of(device).EndStep(); },
};

// ALIGNLAB_CUDA_GRAPHS=off: operations of a step start one by one, to find out what graphs bring.
bool UsesGraphs() { return !IsOff("ALIGNLAB_CUDA_GRAPHS"); }

}  // namespace

CudaBackend::CudaBackend(int ordinal, bool exact) : device_(ordinal, exact, this) {
  const GpuProperties& p = device_.properties();
  if (p.major < 8)
    throw Error("DEVICE_UNAVAILABLE", "The GPU " + p.name + " has compute capability " +
                                          std::to_string(p.major) + "." + std::to_string(p.minor) +
                                          "; 8.0 (Ampere) or newer is needed. Use device: 'cpu'.");
  variant_ = "sm_" + std::to_string(p.major) + std::to_string(p.minor);
  table_ = {.abi = kBackendAbi,
            .name = "cuda",
            .variant = variant_.c_str(),
            .panel = 1,
            .exact = device_.exact(),
            .ops = kOperations,
            .memory = kMemory,
            .steps = UsesGraphs() ? kSteps : StepOperations{},
            .kv_in_compute_type = true,
            .key_panel = 1,
            .max_head_dim = 256,
            .control = &kControl,
            .device = &device_};
}

}  // namespace alignlab::cuda
