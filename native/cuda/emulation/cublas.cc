#include "cuda/emulation/cublas.h"

#include <atomic>
#include <cstring>
#include <utility>

#include "backend/tensor.h"
#include "cuda/emulation/unlock.h"
#include "cuda/simt.h"

namespace alignlab::cuda::cublas {

struct MatmulDescription {
  int transposed[2] = {};
  const float* bias = nullptr;
  int epilogue = 0, bias_type = -1;
};
struct MatrixLayout {
  DType type;
  int64_t rows, cols, stride;
};
struct MatmulPreference {};

}  // namespace alignlab::cuda::cublas

namespace alignlab::cuda::emulation {

namespace {

constexpr int kInvalidValue = 7;  // CUBLAS_STATUS_INVALID_VALUE

std::atomic<int> products{0}, descriptors{0};

template <class T, class... Arguments>
int Create(T** to, Arguments... arguments) {
  *to = new T{arguments...};
  ++descriptors;
  return 0;
}
template <class T>
int Destroy(T* of) {
  delete of;
  --descriptors;
  return 0;
}

int SetDescription(cublas::Description of, int attribute, const void* value, size_t bytes) {
  const auto set = [&](auto* to) {
    if (bytes != sizeof *to) return kInvalidValue;
    std::memcpy(to, value, sizeof *to);
    return 0;
  };
  if (attribute == cublas::kTransposeA) return set(&of->transposed[0]);
  if (attribute == cublas::kTransposeB) return set(&of->transposed[1]);
  if (attribute == cublas::kEpilogue) return set(&of->epilogue);
  if (attribute == cublas::kBiasPointer) return set(&of->bias);
  if (attribute == cublas::kBiasDataType) return set(&of->bias_type);
  return kInvalidValue;
}

// A matrix as its product reads it.
struct Operand {
  const void* data;
  const cublas::MatrixLayout& of;
  bool transposed;

  int64_t rows() const { return transposed ? of.cols : of.rows; }
  int64_t cols() const { return transposed ? of.rows : of.cols; }
  float At(int64_t row, int64_t col) const {
    if (transposed) std::swap(row, col);
    const int64_t at = col * of.stride + row;
    return of.type == DType::kF32 ? static_cast<const float*>(data)[at]
                                  : FloatOfBf16(static_cast<const uint16_t*>(data)[at]);
  }
};

// Where there are many columns, in two interleaved parts.
float Sum(const Operand& a, const Operand& b, int64_t row, int64_t col) {
  const int64_t parts = b.cols() < 16 ? 1 : 2;
  float sum = 0;
  for (int64_t part = 0; part < parts; ++part) {
    float own = 0;
    for (int64_t k = part; k < a.cols(); k += parts) own += a.At(row, k) * b.At(k, col);
    sum += own;
  }
  return sum;
}

int Matmul(cublas::Handle, cublas::Description of, const void* alpha, const void* a,
           cublas::Layout of_a, const void* b, cublas::Layout of_b, const void* beta, const void* c,
           cublas::Layout of_c, void* d, cublas::Layout of_d, const cublas::Algorithm*, void*,
           size_t, void*) {
  const Operand first{a, *of_a, of->transposed[0] != 0}, second{b, *of_b, of->transposed[1] != 0};
  const bool fits = first.cols() == second.rows() && first.rows() == of_d->rows &&
                    second.cols() == of_d->cols && c == d && of_c == of_d;
  const bool biased = of->epilogue == cublas::kAddBias && of->bias_type == cublas::kReal32F;
  if (!fits || (of->bias && !biased) || *static_cast<const float*>(alpha) != 1)
    return kInvalidValue;
  const Unlock unlock;
  const float before = *static_cast<const float*>(beta);
  for (int64_t j = 0; j < of_d->cols; ++j)
    for (int64_t i = 0; i < of_d->rows; ++i) {
      const int64_t at = j * of_d->stride + i;
      float sum = Sum(first, second, i, j);
      if (of->bias) sum += of->bias[i];
      if (of_d->type == DType::kF32) {
        float* to = static_cast<float*>(d) + at;
        *to = before != 0 ? sum + before * *to : sum;
      } else {
        static_cast<uint16_t*>(d)[at] = Bf16OfFloat(sum);  // Cublas adds nothing to bf16
      }
    }
  ++products;
  return 0;
}

int Heuristic(cublas::Handle, cublas::Description, cublas::Layout, cublas::Layout, cublas::Layout,
              cublas::Layout, cublas::Preference, int, cublas::Heuristic* best, int* found) {
  *best = {};
  *found = 1;
  return 0;
}

}  // namespace

const cublas::Functions& CublasStandIn() {
  static constexpr cublas::Functions kFunctions = {
      .get_version = [] { return size_t(130101); },
      .create = [](cublas::Handle*) { return 0; },
      .destroy = [](cublas::Handle) { return 0; },
      .description_create =
          [](cublas::Description* to, int compute, int scale) {
            const bool known = compute == cublas::kCompute32F && scale == cublas::kReal32F;
            return known ? Create(to) : kInvalidValue;
          },
      .description_destroy = Destroy<cublas::MatmulDescription>,
      .description_set = SetDescription,
      .layout_create =
          [](cublas::Layout* to, int type, uint64_t rows, uint64_t cols, int64_t stride) {
            if (stride < int64_t(rows)) return kInvalidValue;
            return Create(to, type == cublas::kReal32F ? DType::kF32 : DType::kBF16, int64_t(rows),
                          int64_t(cols), stride);
          },
      .layout_destroy = Destroy<cublas::MatrixLayout>,
      .preference_create = [](cublas::Preference* to) { return Create(to); },
      .preference_destroy = Destroy<cublas::MatmulPreference>,
      .preference_set = [](cublas::Preference, int, const void*, size_t) { return 0; },
      .heuristic = Heuristic,
      .matmul = Matmul,
  };
  return kFunctions;
}

CublasUse UseOfCublas() { return {products, descriptors}; }

}  // namespace alignlab::cuda::emulation
