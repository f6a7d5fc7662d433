// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy
// as 1, 2, 3", SC 2011). A number is a function of its key and counter, so it does not matter
// who draws it, or when. Plain inline functions, for the host and for CUDA.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define ALIGNLAB_HOST_DEVICE __host__ __device__
#else
#define ALIGNLAB_HOST_DEVICE
#endif

namespace alignlab {

struct PhiloxBlock {
  uint32_t word[4];
};

ALIGNLAB_HOST_DEVICE static inline PhiloxBlock Philox4x32(uint64_t key, PhiloxBlock counter) {
  uint32_t key0 = uint32_t(key), key1 = uint32_t(key >> 32);
  PhiloxBlock c = counter;
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xD2511F53u) * c.word[0];
    const uint64_t b = uint64_t(0xCD9E8D57u) * c.word[2];
    c = {{uint32_t(b >> 32) ^ c.word[1] ^ key0, uint32_t(b), uint32_t(a >> 32) ^ c.word[3] ^ key1,
          uint32_t(a)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// What numbers are drawn for; part of the counter, so that two purposes never share a number.
enum class RandomPurpose : uint32_t { kSampling = 1, kInitialisation = 2 };

// Four words of the stream (seed, purpose, sequence) at `position`.
ALIGNLAB_HOST_DEVICE static inline PhiloxBlock RandomWords(uint64_t seed, RandomPurpose purpose,
                                                           uint64_t sequence, uint32_t position) {
  return Philox4x32(seed,
                    {{position, uint32_t(sequence), uint32_t(sequence >> 32), uint32_t(purpose)}});
}

// Uniform in [0, 1), a multiple of 2^-53.
ALIGNLAB_HOST_DEVICE static inline double UniformDouble(const PhiloxBlock& words) {
  const uint64_t bits = (uint64_t(words.word[0]) << 21) ^ (words.word[1] >> 11);
  return double(bits) * 0x1.0p-53;
}

}  // namespace alignlab
