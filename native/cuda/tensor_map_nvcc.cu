// Tensor maps by the driver, whose function is asked for at run time: the library loads on machines
// that have none.
#include <cuda_runtime.h>

#include <string>

#include "cuda/hopper.h"
#include "cuda/memo.h"
#include "error.h"

namespace alignlab::cuda {

namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode FindEncode() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  constexpr const char* kName = "cuTensorMapEncodeTiled";
#if CUDART_VERSION >= 12050
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(kName, &function, 12000, cudaEnableDefault, &found);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(kName, &function, cudaEnableDefault, &found);
#endif
  cudaGetLastError();  // an old driver is no failure
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess) return nullptr;
  return reinterpret_cast<Encode>(function);
}

Encode TheEncode() {
  static const Encode encode = FindEncode();
  return encode;
}

// strides: in elements, of all dimensions but the first.
template <cuuint32_t kDims>
TensorMap MakeMap(const void* data, const int64_t (&sizes)[kDims],
                  const int64_t (&strides)[kDims - 1], const int (&box)[kDims]) {
  TensorMap map;
  cuuint64_t all[kDims], bytes[kDims - 1];
  cuuint32_t of_box[kDims], every[kDims];
  for (cuuint32_t i = 0; i < kDims; ++i) {
    all[i] = cuuint64_t(sizes[i]);
    of_box[i] = cuuint32_t(box[i]);
    every[i] = 1;
    if (i + 1 < kDims) bytes[i] = cuuint64_t(strides[i]) * sizeof(uint16_t);
  }
  const CUresult result =
      TheEncode()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, kDims, const_cast<void*>(data), all,
                  bytes, of_box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error("DEVICE_LOST", "CUDA could not describe a matrix to the TMA (error " +
                                   std::to_string(int(result)) +
                                   "). Open the device with exact: true to do without it.");
  return map;
}

// A map says where a matrix lies and nothing of what is in it, so those of a decoding step's
// weights and activations are those of the step before.
constexpr size_t kMostMaps = 4096;

}  // namespace

bool HasTensorMaps() { return TheEncode() != nullptr; }

TensorMap MakeTensorMap(const BoxedMatrix& m) {
  thread_local Memo<TensorMap, 5> kept(kMostMaps);
  return kept.Of({reinterpret_cast<intptr_t>(m.data), m.rows, m.cols, m.stride, m.box_rows}, [&] {
    return MakeMap<2>(m.data, {m.cols, m.rows}, {m.stride}, {kBoxCols, m.box_rows});
  });
}

TensorMap MakeTensorMap(const BoxedHeads& h) {
  thread_local Memo<TensorMap, 8> kept(kMostMaps);
  return kept.Of({reinterpret_cast<intptr_t>(h.data), h.rows, h.heads, h.cols, h.row_stride,
                  h.head_stride, h.box_rows, h.box_heads},
                 [&] {
                   return MakeMap<3>(h.data, {h.cols, h.heads, h.rows},
                                     {h.head_stride, h.row_stride},
                                     {kBoxCols, h.box_heads, h.box_rows});
                 });
}

}  // namespace alignlab::cuda
