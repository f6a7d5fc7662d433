// Gradients of keys and values in bf16 by Hopper's own instructions: what attention_key_gradient.cu
// computes, for heads of 64 or 128 values. A block has a wide tile of keys, 64 for each of its two
// warpgroups, which share the rows of queries that one thread copies ahead by the TMA.
//
// Expected limit: the tensor cores, four products of 64 x 64 x kWidth for each 64 keys and 64 rows
// (seven with those of the queries' gradients; one kernel, which would add d_q up in no fixed
// order, needs five). 256 kWidth bytes of rows are shared: 256 operations a byte of the
// second-level cache. Operands take 96 of the 128 bytes that shared memory gives a cycle.
//
// Registers at kWidth 128: d_k and d_v 64 each, scores and dP 32 each, P or dS as an operand 16,
// 208 of 240; so keys and values are read from shared memory each time.
#include "cuda/kernels/hopper_host.h"
#include "cuda/kernels/hopper_key_gradient.h"

namespace alignlab::cuda {

namespace {

// A warpgroup's block of keys: the position of its first, and those that the tile has. None where
// begin >= end.
struct KeysOfGroup {
  int32_t position, begin, end;

  __device__ __forceinline__ KeysOfGroup(const AttentionTile& tile, int group)
      : position((tile.position / kWideBlock * 2 + group) * kKeyBlock) {
    const int32_t after = tile.position + tile.count;
    begin = position > tile.position ? position : tile.position;
    end = position + kKeyBlock < after ? position + kKeyBlock : after;
  }
};

// The sums of a warpgroup's keys. Scores are transposed, (keys, rows of queries), so P^T and dS^T
// are operands as they lie in registers.
template <int kWidth>
struct KeySums {
  using Block = KeyGradientBlock<kWidth>;

  uint32_t operand[kKeyBlock / kTerms][4];  // P^T, then dS^T
  float s[kKeyBlock / 2], d_p[kKeyBlock / 2], d_k[kWidth / 2], d_v[kWidth / 2];

  // position: of the block's first key. Once in each branch, because ptxas moves what stands behind
  // the last one over the next wait for products, under which it is to run.
  __device__ __forceinline__ void ToProbabilities(float scale, const QueryColumns& columns,
                                                  int32_t position, bool masked) {
    if (masked) {
      Mask(columns, position);
      Exponentiate(scale, columns);
    } else {
      Exponentiate(scale, columns);
    }
  }
  __device__ __forceinline__ void Exponentiate(float scale, const QueryColumns& columns) {
    ALIGNLAB_UNROLL
    for (int n = 0; n < kGroupRows / 8; ++n) {
      const float2 lse = PairOf(columns.lse, n);
      ALIGNLAB_UNROLL
      for (int i = 4 * n; i < 4 * n + 4; i += 2) {
        s[i] = Exp2Quick(Fma(s[i], scale, -lse.x));
        s[i + 1] = Exp2Quick(Fma(s[i + 1], scale, -lse.y));
      }
    }
  }
  __device__ __forceinline__ void Mask(const QueryColumns& columns, int32_t position) {
    ALIGNLAB_UNROLL
    for (int i = 0; i < kKeyBlock / 2; ++i) {
      const int column = i / 4 * 8 + 2 * int(threadIdx.x % 4) + i % 2;
      if (columns.positions[column] < position + RowOfThread(i / 2 % 2)) s[i] = -kInfinity;
    }
  }
  // d_p becomes dS^T.
  __device__ __forceinline__ void ToScoreGradients(const QueryColumns& columns) {
    ALIGNLAB_UNROLL
    for (int n = 0; n < kGroupRows / 8; ++n) {
      const float2 dots = PairOf(columns.dots, n);
      ALIGNLAB_UNROLL
      for (int i = 4 * n; i < 4 * n + 4; i += 2) {
        d_p[i] = s[i] * (d_p[i] - dots.x);
        d_p[i + 1] = s[i + 1] * (d_p[i + 1] - dots.y);
      }
    }
  }
  // Of this thread's two columns among 8 n .. 8 n + 7.
  __device__ __forceinline__ static float2 PairOf(const float* columns, int n) {
    return *reinterpret_cast<const float2*>(columns + 8 * n + 2 * (threadIdx.x % 4));
  }

  // All pieces. Those before `first` see none of the keys, those before `masked` not all of them.
  // While a piece's scores become probabilities, dS^T Q of the piece before and V dO^T are
  // multiplied; P^T dO runs while they become gradients.
  __device__ __forceinline__ void Sum(const Block& block, int group, int32_t position,
                                      unsigned first, unsigned masked, float scale) {
    for (unsigned piece = 0; piece < first; ++piece) block.Skip(piece);
    WaitBarrier(block.keys_full + group, 0);
    block.WaitFull(first);
    StartScores<kWidth>(s, block.Keys(group), block.Queries(first));
    CommitProducts();  // dS^T Q of no piece
    WaitBarrier(block.values_full + group, 0);
    StartScores<kWidth>(d_p, block.Values(group), block.OutGradients(first));
    unsigned piece = first;
    ALIGNLAB_KEEP_LOOP
    for (;; ++piece) {
      const bool add = piece > first, more = block.Columns(piece).more;
      WaitProducts<2>();
      ReadProducts(s);
      ToProbabilities(scale, block.Columns(piece), position, piece < masked);
      if (more) block.WaitFull(piece + 1);
      WaitProducts<1>();
      ReadProducts(d_k);
      if (add) block.Release(piece - 1);
      PackRows(s, operand);
      StartMixed<kWidth>(d_v, operand, block.OutGradients(piece), add);
      WaitProducts<1>();
      ReadProducts(d_p);
      ToScoreGradients(block.Columns(piece));
      if (!more) break;
      const int mine = Anew(group);
      StartScores<kWidth>(s, block.Keys(mine), block.Queries(piece + 1));
      WaitProducts<1>();
      ReadProducts(d_v);
      PackRows(d_p, operand);
      StartMixed<kWidth>(d_k, operand, block.Queries(piece), add);
      StartScores<kWidth>(d_p, block.Values(mine), block.OutGradients(piece + 1));
    }
    WaitProducts<0>();
    ReadProducts(d_v);
    PackRows(d_p, operand);
    StartMixed<kWidth>(d_k, operand, block.Queries(piece), piece > first);
    WaitProducts<0>();
    ReadProducts(d_k);
    block.Release(piece);
  }

  __device__ __forceinline__ void Write(const GradientView<uint16_t>& g, const AttentionTile& tile,
                                        int kv_head, const KeysOfGroup& of) const {
    ALIGNLAB_UNROLL
    for (int h = 0; h < 2; ++h) {
      const int32_t position = of.position + RowOfThread(h);
      if (position < of.begin || position >= of.end) continue;
      const int64_t row = tile.key_row + position - tile.position, head = kv_head * kWidth;
      WriteSums<kWidth>(d_k, h, g.forward.scale, g.d_k + row * g.d_k_stride + head);
      WriteSums<kWidth>(d_v, h, 1, g.d_v + row * g.d_v_stride + head);
    }
  }
};

// A warpgroup's keys of tile `index`.
template <int kWidth>
__device__ __forceinline__ void SumKeys(const KeyGradientBlock<kWidth>& block,
                                        const GradientView<uint16_t>& g, int index, int kv_head,
                                        int tokens) {
  const int group = int(threadIdx.x) / kWarpgroup - 1;
  const AttentionTile& tile = g.tree_tiles[index];
  const KeysOfGroup of(tile, group);
  if (of.begin >= of.end) {
    for (unsigned piece = 0; block.Skip(piece); ++piece) {
    }
    return;
  }
  KeySums<kWidth> keys;
  keys.Sum(block, group, of.position, unsigned((of.begin - tile.position) / tokens),
           unsigned(CeilDiv(of.end - 1 - tile.position, tokens)), g.forward.scale * kLog2E);
  keys.Write(g, tile, kv_head, KeysOfGroup(tile, group));
}

// tokens: of a piece.
template <int kWidth>
__global__ void __launch_bounds__(KeyGradientBlock<kWidth>::Threads::kThreads, 1)
    HopperKeyKernel(const __grid_constant__ KeyGradientBoxes boxes, GradientView<uint16_t> g,
                    int tokens) {
#if ALIGNLAB_HOPPER
  using Block = KeyGradientBlock<kWidth>;
  const auto block = Block::OfBlock();
  if (threadIdx.x == 0) block.Init();
  __syncthreads();
  const int index = int(blockIdx.x), kv_head = int(blockIdx.y);
  if (threadIdx.x < kWarpgroup) {
    KeepRegisters<Block::Threads::kCopying>();
    const int warp = int(threadIdx.x) / kWarp, lane = int(threadIdx.x) % kWarp;
    if (warp == 0 && lane == 0) {
      ForEachPiece(g.tree_tiles, index, tokens, [&](const QueryPiece& piece) {
        CopyPiece(block, boxes, piece, kv_head, g.forward.group);
      });
    } else if (warp == 1) {
      ForEachPiece(g.tree_tiles, index, tokens,
                   [&](const QueryPiece& piece) { WriteColumns(block, g, piece, kv_head); });
    } else if (warp == 2 && lane == 0) {
      CopyKeysOfTile(block, boxes.keys, g.forward, g.tree_tiles[index], kv_head);
    }
  } else {
    TakeRegisters<Block::Threads::kMultiplying>();
    SumKeys(block, g, index, kv_head, tokens);
  }
#endif
}

BoxedHeads HeadsOf(const HeadRows<uint16_t>& rows, const AttentionArgs& args) {
  return {rows.data,       args.q.rows,      args.heads, args.kv.head_dim,
          rows.row_stride, rows.head_stride, 1,          args.heads / args.kv.kv_heads};
}

GroupBoxes BoxesOf(BoxedHeads heads, int tokens) {
  GroupBoxes boxes;
  for (int i = 0; 1 << i <= tokens; ++i) {
    heads.box_rows = 1 << i;
    boxes.of[i] = MakeTensorMap(heads);
  }
  return boxes;
}

template <int kWidth>
void Start(Device& device, const AttentionArgs& args, const KeyGradientBoxes& boxes,
           GradientView<uint16_t> g) {
  g.tree_tiles = BatchTable(device, BatchArray::kWideTreeTiles, args, WideTilesByTree);
  using Block = KeyGradientBlock<kWidth>;
  Launch(device, HopperKeyKernel<kWidth>,
         {ExtentOfTiles(device, args, kWideBlock).count, args.kv.kv_heads},
         Block::Threads::kThreads, Block::kSharedBytes, boxes, g, kGroupRows / g.forward.group);
}

}  // namespace

bool KeyGradientsByHopper(Device& device, const AttentionArgs& args,
                          const GradientView<uint16_t>& view) {
  if (view.forward.group > kGroupRows) return false;
  if (!RowsAligned(view.d_k, view.d_k_stride, sizeof(float2))) return false;
  if (!RowsAligned(view.d_v, view.d_v_stride, sizeof(float2))) return false;
  const BoxedHeads q = HeadsOf(view.forward.q, args), d_out = HeadsOf(view.d_out, args);
  if (!q.Fits() || !d_out.Fits()) return false;
  const auto keys = BoxesByHopper(device, args, view.forward, 1);
  if (!keys) return false;
  const int tokens = kGroupRows / view.forward.group;
  const KeyGradientBoxes boxes{*keys, BoxesOf(q, tokens), BoxesOf(d_out, tokens)};
  if (view.forward.head_dim == 64)
    Start<64>(device, args, boxes, view);
  else
    Start<128>(device, args, boxes, view);
  return true;
}

}  // namespace alignlab::cuda
