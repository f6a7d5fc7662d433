// What we use of cuBLASLt, in our own words: the library is opened at run time, so neither its
// headers nor its presence are needed. cublas_check.cc compares this with NVIDIA's header where
// there is one. Descriptors have grown from version to version: they are made by the library only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace alignlab::cuda::cublas {

using Handle = struct Context*;
using Description = struct MatmulDescription*;
using Layout = struct MatrixLayout*;
using Preference = struct MatmulPreference*;

constexpr int kReal32F = 0, kReal16BF = 14;
constexpr int kCompute32F = 68;  // no TF32
constexpr int kAsItIs = 0, kTransposed = 1;
constexpr int kAddBias = 4;
// Attributes of a product's description, and of what its algorithm should be like.
constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8, kBiasDataType = 26;
constexpr int kMaxWorkspaceBytes = 1;
constexpr int kMinAlignmentA = 5, kMinAlignmentB = 6, kMinAlignmentC = 7, kMinAlignmentD = 8;

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

// Every function but GetVersion returns a status, 0 when it worked.
struct Functions {
  size_t (*get_version)();
  int (*create)(Handle*);
  int (*destroy)(Handle);
  int (*description_create)(Description*, int compute, int scale_type);
  int (*description_destroy)(Description);
  int (*description_set)(Description, int attribute, const void* value, size_t bytes);
  int (*layout_create)(Layout*, int type, uint64_t rows, uint64_t cols, int64_t stride);
  int (*layout_destroy)(Layout);
  int (*preference_create)(Preference*);
  int (*preference_destroy)(Preference);
  int (*preference_set)(Preference, int attribute, const void* value, size_t bytes);
  int (*heuristic)(Handle, Description, Layout a, Layout b, Layout c, Layout d, Preference,
                   int wanted, Heuristic* results, int* found);
  int (*matmul)(Handle, Description, const void* alpha, const void* a, Layout, const void* b,
                Layout, const void* beta, const void* c, Layout, void* d, Layout, const Algorithm*,
                void* workspace, size_t workspace_bytes, void* stream);
};

}  // namespace alignlab::cuda::cublas
