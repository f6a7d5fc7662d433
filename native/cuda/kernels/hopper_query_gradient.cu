// Gradients of queries in bf16 by Hopper's own instructions: what attention_query_gradient.cu
// computes, for heads of 64 or 128 values, with the blocks, ring and copies of hopper_attention.cu.
//
// Expected limit: the tensor cores, three products of 64 x 64 x kWidth for each 64 rows and 64
// keys. Two warpgroups, whose q and d_out stay in registers, share 256 kWidth bytes of keys and
// values: 192 operations a byte. At 989 TFLOP/s that is 5.2 TB/s, about what the second-level cache
// gives.
#include "cuda/kernels/hopper_host.h"
#include "cuda/kernels/hopper_rows.h"

namespace alignlab::cuda {

namespace {

using QueryBlock = HopperBlock<2>;

// A warpgroup's rows of a tile; of the two rows of a thread log-sum-exp (times log2 e), D and the
// last position that they see.
template <int kWidth>
struct QuerySums {
  using Ring = KeyRing<kWidth>;

  uint32_t q[kWidth / kTerms][4], d_out[kWidth / kTerms][4], d_s[kKeyBlock / kTerms][4];
  float s[kKeyBlock / 2], d_p[kKeyBlock / 2], d_q[kWidth / 2];
  float lse[2], dots[2];
  int32_t sees[2];

  // Of a row past the tile's last all is zero.
  __device__ __forceinline__ void Load(const GradientView<uint16_t>& g, const TilePart& part,
                                       int first) {
    const AttentionView<uint16_t>& v = g.forward;
    LoadRows<kWidth>(v.q, part, first, q);
    LoadRows<kWidth>(g.d_out, part, first, d_out);
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int row = first + RowOfThread(h), token = row / part.group;
      const bool inside = token < part.tile.count;
      const int64_t at =
          (part.tile.row + token) * v.heads + part.kv_head * part.group + row % part.group;
      lse[h] = inside ? v.lse[at] * kLog2E : 0.0f;
      dots[h] = inside ? g.dots[at] : 0.0f;
      sees[h] = part.tile.position + token;
    }
  }

  // Once in each branch, because ptxas moves what stands behind the last one over the next wait for
  // products, under which it is to run.
  __device__ __forceinline__ void ToProbabilities(float scale, int32_t block, bool masked) {
    if (masked) {
      MaskKeys(s, sees, block);
      Exponentiate(scale);
    } else {
      Exponentiate(scale);
    }
  }
  __device__ __forceinline__ void Exponentiate(float scale) {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kKeyBlock / 2; ++i) s[i] = Exp2Quick(Fma(s[i], scale, -lse[i / 2 % 2]));
  }
  // d_p becomes dS.
  __device__ __forceinline__ void ToScoreGradients() {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kKeyBlock / 2; ++i) d_p[i] = s[i] * (d_p[i] - dots[i / 2 % 2]);
  }

  // Blocks [0, last], those from `masked` on with keys that not all rows see. While a block's
  // scores become probabilities, dS K of the block before and dO V^T are multiplied.
  __device__ __forceinline__ void Sum(const Ring& ring, RingPlace& at, float scale, int32_t last,
                                      int32_t masked) {
    RingPlace next = at;
    next.Next(Ring::kStages);
    int before = -1;
    WaitBarrier(ring.keys_full + at.stage, at.parity);
    StartScores<kWidth>(s, q, ring.Keys(at.stage));
    CommitProducts();  // dS K of no block
    WaitBarrier(ring.values_full + at.stage, at.parity);
    StartScores<kWidth>(d_p, d_out, ring.Values(at.stage));
    ALIGNLAB_KEEP_LOOP
    for (int32_t block = 0;; ++block) {
      WaitProducts<2>();
      ReadProducts(s);
      ToProbabilities(scale, block, masked <= block);
      if (block < last) WaitBarrier(ring.keys_full + next.stage, next.parity);
      WaitProducts<0>();
      ReadProducts(d_p);
      ReadProducts(d_q);
      if (before >= 0) ring.Release(before);
      ToScoreGradients();
      if (block == last) break;
      StartScores<kWidth>(s, q, ring.Keys(next.stage));
      PackRows(d_p, d_s);
      StartMixed<kWidth>(d_q, d_s, ring.Keys(at.stage), block > 0);
      WaitBarrier(ring.values_full + next.stage, next.parity);
      StartScores<kWidth>(d_p, d_out, ring.Values(next.stage));
      before = at.stage;
      at = next;
      next.Next(Ring::kStages);
    }
    PackRows(d_p, d_s);
    StartMixed<kWidth>(d_q, d_s, ring.Keys(at.stage), last > 0);
    WaitProducts<0>();
    ReadProducts(d_q);
    ring.Release(at.stage);
    at = next;
  }

  __device__ __forceinline__ void Write(const GradientView<uint16_t>& g, const TilePart& part,
                                        int first) const {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int row = first + RowOfThread(h), token = row / part.group;
      if (token >= part.tile.count) continue;
      const int64_t head = part.kv_head * part.group + row % part.group;
      WriteSums<kWidth>(d_q, h, g.forward.scale,
                        g.d_q + (part.tile.row + token) * g.d_q_stride + head * kWidth);
    }
  }
};

// As many blocks as multiprocessors: keys of the next part are copied while this one is finished.
template <int kWidth>
__global__ void __launch_bounds__(QueryBlock::kThreads, 1)
    HopperQueryKernel(const __grid_constant__ KeyBoxes boxes, GradientView<uint16_t> g,
                      TileParts parts) {
#if ALIGNLAB_HOPPER
  const AttentionView<uint16_t>& v = g.forward;
  RunParts<kWidth, QueryBlock>(boxes, v, parts,
                               [&](const TilePart& part, const KeyRing<kWidth>& ring, RingPlace& at,
                                   int first, int32_t last, int32_t masked) {
                                 QuerySums<kWidth> rows;
                                 rows.Load(g, part, first);
                                 rows.Sum(ring, at, v.scale * kLog2E, last, masked);
                                 rows.Write(g, part, first);
                               });
#endif
}

template <int kWidth>
void Start(Device& device, const AttentionArgs& args, const KeyBoxes& boxes,
           GradientView<uint16_t> g) {
  g.forward.tiles = BatchTable(device, BatchArray::kWideTiles, args, WideTilesByCost);
  const TileParts parts = PartsOfTiles(device, args, g.forward.group, QueryBlock::kGroups);
  Launch(device, HopperQueryKernel<kWidth>,
         {std::min<int64_t>(parts.all, device.properties().multiprocessors)}, QueryBlock::kThreads,
         KeyRing<kWidth>::kSharedBytes, boxes, g, parts);
}

}  // namespace

bool QueryGradientsByHopper(Device& device, const AttentionArgs& args,
                            const GradientView<uint16_t>& view) {
  if (!RowsAligned(view.d_q, view.d_q_stride, sizeof(float2))) return false;
  const auto boxes = BoxesByHopper(device, args, view.forward, view.forward.group);
  if (!boxes) return false;
  if (view.forward.head_dim == 64)
    Start<64>(device, args, *boxes, view);
  else
    Start<128>(device, args, *boxes, view);
  return true;
}

}  // namespace alignlab::cuda
