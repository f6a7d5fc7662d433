// Products by cuBLASLt, for devices that need not be exact: which order it adds in is its secret
// and changes with the shape, so a row's bits then depend on its batch.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/tensor.h"
#include "cuda/cublas_abi.h"

namespace alignlab::cuda {

// A (m, depth) in memory as (m, depth), or as (depth, m) when not `along_depth`; B (n, depth)
// likewise. Strides in elements.
struct CublasOperand {
  const void* data;
  int64_t stride;
  bool along_depth;
};
// to (+)= A B^T + bias; to: (m, n).
struct CublasProduct {
  DType type;
  CublasOperand a, b;
  int64_t m, n, depth;
  Tensor to;
  const float* bias;  // or null
  bool accumulate;
};

class Cublas {
 public:
  // Null when the machine has no cuBLASLt, or one that does not start. The file that
  // ALIGNLAB_CUBLASLT names is tried first.
  static std::unique_ptr<Cublas> Open();

  // Null when the library does not start.
  static std::unique_ptr<Cublas> Start(const cublas::Functions& functions);
  ~Cublas() { functions_.destroy(handle_); }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // False when the library has nothing for this product; then nothing was written.
  bool Multiply(const CublasProduct& product, void* workspace, void* stream);

  static constexpr size_t kWorkspaceBytes = size_t(32) << 20;
  std::string Version() const;

 private:
  Cublas(const cublas::Functions& functions, cublas::Handle handle)
      : functions_(functions), handle_(handle) {}
  struct Descriptors;
  // The library's choice for such a product, asked for once; null: none.
  const cublas::Algorithm* Choose(const CublasProduct& product, const Descriptors& of);

  struct Choice {
    bool found;
    cublas::Algorithm algorithm;
  };
  cublas::Functions functions_;
  cublas::Handle handle_;
  std::map<std::vector<int64_t>, Choice> choices_;
};

}  // namespace alignlab::cuda
