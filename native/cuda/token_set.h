// A row's tokens that may still be drawn, and what a block asks about them: sums of mass, the
// nearest tokens up to some mass, the token at which mass added by id reaches a number. Mass is an
// integer, a count or a probability in fixed point, so that sums are exact and the same in whatever
// order, and with however many threads, they are formed.
#pragma once

#include "cuda/simt.h"

namespace alignlab::cuda {

constexpr int kBuckets = 2048, kSpans = 32;
constexpr float kFarthest = 88.0f;  // e^-d is less than any mass here and beyond

// Of the threads of a block.
struct TokenMemory {
  uint64_t histogram[kBuckets];
  uint64_t mass[kSpans];
  uint64_t below, inside;
  int bucket;
};

struct TokenSet {
  const float* distance;  // of token v from the most probable one, >= 0; +inf: not to be drawn
  int64_t count;
  float unit;  // the probability e^0 as a mass, a power of two
  TokenMemory& memory;
  // Tokens are ordered by distance, then by id: (bits of the distance, id), the bits of floats that
  // are not negative being ordered as the floats are. Those up to here belong to the set.
  uint64_t last = uint64_t(0x7f7fffff) << 32 | 0xffffffff;

  __device__ static uint32_t KeyOf(float distance) {
    return distance == 0 ? 0 : BitsOfFloat(distance);  // -0 is 0, too
  }
  __device__ uint64_t ProbabilityOf(float d) const { return uint64_t(Exp(-d) * unit); }

  // body(id, distance, key) for the tokens begin + from, begin + from + step, ... below end.
  template <class Body>
  __device__ void Each(int64_t from, int64_t step, int64_t end, const Body& body) const {
    for (int64_t v = from; v < end; v += step) {
      const float d = distance[v];
      const uint32_t key = KeyOf(d);
      if ((uint64_t(key) << 32 | uint64_t(v)) <= last) body(v, d, key);
    }
  }

  // What follows is called by all threads of the block.

  // Sum of mass(distance, key) over the set.
  template <class Mass>
  __device__ uint64_t Sum(const Mass& mass) const {
    uint64_t sum = 0;
    Each(threadIdx.x, blockDim.x, count,
         [&](int64_t, float d, uint32_t key) { sum += mass(d, key); });
    sum = SumOfWarp(sum);
    const unsigned warp = threadIdx.x / kWarp;
    __syncthreads();
    if (threadIdx.x % kWarp == 0) memory.mass[warp] = sum;
    __syncthreads();
    uint64_t all = 0;
    for (unsigned w = 0; w < blockDim.x / kWarp; ++w) all += memory.mass[w];
    return all;
  }

  // The first token by id at which the sum of mass reaches `wanted`, which is at most the sum over
  // the set. Each time one of kSpans spans of ids is left.
  template <class Mass>
  __device__ int64_t Reach(uint64_t wanted, const Mass& mass) const {
    const unsigned lane = threadIdx.x % kWarp;
    int64_t begin = 0, end = count;
    while (end - begin > kWarp) {
      const int64_t span = CeilDiv(CeilDiv(end - begin, kSpans), kWarp) * kWarp;
      __syncthreads();
      for (unsigned s = threadIdx.x / kWarp; s < kSpans; s += blockDim.x / kWarp) {
        const int64_t from = begin + int64_t(s) * span, to = from + span < end ? from + span : end;
        uint64_t sum = 0;
        Each(from + lane, kWarp, to, [&](int64_t, float d, uint32_t key) { sum += mass(d, key); });
        sum = SumOfWarp(sum);
        if (lane == 0) memory.mass[s] = sum;
      }
      __syncthreads();
      int s = 0;
      for (; s < kSpans - 1 && memory.mass[s] < wanted; ++s) wanted -= memory.mass[s];
      begin += s * span;
      end = begin + span < end ? begin + span : end;
    }
    uint64_t sum = 0;
    Each(begin + lane, kWarp, end, [&](int64_t, float d, uint32_t key) { sum += mass(d, key); });
    uint64_t up_to_here = sum;
    for (int other = 0; other < kWarp; ++other) {
      const uint64_t x = Shuffle(sum, other);
      if (other < int(lane)) up_to_here += x;
    }
    const uint32_t reached = Ballot(up_to_here >= wanted);
    int64_t first = 0;
    while (first < kWarp - 1 && !(reached >> first & 1)) ++first;
    return begin + first;
  }

  // Drops all but the nearest tokens up to the one with which their mass reaches `wanted` >= 1; all
  // stay when it never does. The distance is found by its place among kBuckets equal steps, which
  // spread what exponents would crowd into a few, and within a step by its bits, a byte at a time.
  template <class Mass>
  __device__ void KeepNearest(uint64_t wanted, const Mass& mass) {
    const auto step_of = [](float d) {
      return int(Min(d * (float(kBuckets) / kFarthest), float(kBuckets - 1)));
    };
    uint64_t below = 0;  // mass of what is nearer than the steps, or bits, under consideration
    if (!FindBucket(kBuckets, wanted, below, mass, [&](float d, uint32_t) { return step_of(d); }))
      return;
    const int step = memory.bucket;
    uint64_t edge = 0;
    for (int byte = 3; byte >= 0; --byte) {
      below = memory.below;
      FindBucket(256, wanted, below, mass, [&](float d, uint32_t key) {
        const bool inside = step_of(d) == step && uint64_t(key) >> (8 * byte + 8) == edge;
        return inside ? int(key >> (8 * byte) & 255) : -1;
      });
      edge = edge << 8 | uint64_t(memory.bucket);
    }
    below = memory.below;
    const uint64_t ties = memory.inside, missing = wanted - below;
    const auto tie_mass = [&](float d, uint32_t key) { return key == edge ? mass(d, key) : 0; };
    const uint64_t one = mass(FloatOfBits(uint32_t(edge)), uint32_t(edge));
    const uint64_t id = missing > ties - one ? 0xffffffff : uint64_t(Reach(missing, tie_mass));
    last = edge << 32 | id;
  }

 private:
  __device__ static uint64_t SumOfWarp(uint64_t x) {
    for (int mask = kWarp / 2; mask > 0; mask /= 2) x += ShuffleXor(x, mask);
    return x;
  }

  // Leaves in memory the first of n buckets with which `below` and the mass of the buckets up to it
  // reach `wanted`, what lies below it, and what is in it; false when none does. bucket_of may be
  // -1: not counted.
  template <class Mass, class BucketOf>
  __device__ bool FindBucket(int n, uint64_t wanted, uint64_t below, const Mass& mass,
                             const BucketOf& bucket_of) const {
    __syncthreads();  // all have read the last result
    for (int b = int(threadIdx.x); b < n; b += int(blockDim.x)) memory.histogram[b] = 0;
    if (threadIdx.x == 0) memory.bucket = -1;
    __syncthreads();
    Each(threadIdx.x, blockDim.x, count, [&](int64_t, float d, uint32_t key) {
      const int b = bucket_of(d, key);
      const uint64_t m = b < 0 ? 0 : mass(d, key);
      if (m > 0) AtomicAdd(&memory.histogram[b], m);
    });
    __syncthreads();
    if (threadIdx.x < kWarp) {
      const int lane = int(threadIdx.x), share = n / kWarp;
      uint64_t mine = 0, before = below;
      for (int b = lane * share; b < (lane + 1) * share; ++b) mine += memory.histogram[b];
      for (int other = 0; other < kWarp; ++other) {
        const uint64_t x = Shuffle(mine, other);
        if (other < lane) before += x;
      }
      if (before < wanted && wanted <= before + mine) {  // one lane at most
        int b = lane * share;
        for (; before + memory.histogram[b] < wanted; ++b) before += memory.histogram[b];
        memory.bucket = b;
        memory.below = before;
        memory.inside = memory.histogram[b];
      }
    }
    __syncthreads();
    return memory.bucket >= 0;
  }
};

}  // namespace alignlab::cuda
