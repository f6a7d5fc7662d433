// All kernels, compiled once per instruction set (cmake/native.cmake) into one table,
// ALIGNLAB_TABLE, which is the only symbol that this object shows to the linker.
#include "backend/backend.h"
#include "cpu/kernels/activation.h"
#include "cpu/kernels/attention.h"
#include "cpu/kernels/attention_backward.h"
#include "cpu/kernels/embed.h"
#include "cpu/kernels/head.h"
#include "cpu/kernels/head_backward.h"
#include "cpu/kernels/head_kl.h"
#include "cpu/kernels/linear.h"
#include "cpu/kernels/norm.h"
#include "cpu/kernels/optimizer.h"
#include "cpu/kernels/peak.h"
#include "cpu/kernels/qkv.h"
#include "cpu/kernels/reduce.h"
#include "cpu/kernels/rows.h"
#include "cpu/kernels/sample.h"
#include "cpu/kernels/split_weight.h"

namespace alignlab {

extern const Operations ALIGNLAB_TABLE;
const Operations ALIGNLAB_TABLE = {
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
    .linear_activation = nullptr,
    .linear_input_grad_activation = nullptr,
};

}  // namespace alignlab
