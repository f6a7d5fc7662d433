// Tensor maps by the driver, whose function is asked for at run time: the library loads on machines
// that have none.
#include <cuda_runtime.h>

#include <string>

#include "cuda/hopper.h"
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

}  // namespace

bool HasTensorMaps() { return TheEncode() != nullptr; }

TensorMap MakeTensorMap(const BoxedMatrix& matrix) {
  TensorMap map;
  const cuuint64_t sizes[] = {cuuint64_t(matrix.cols), cuuint64_t(matrix.rows)};
  const cuuint64_t strides[] = {cuuint64_t(matrix.stride) * sizeof(uint16_t)};
  const cuuint32_t box[] = {kBoxCols, cuuint32_t(matrix.box_rows)};
  const cuuint32_t every[] = {1, 1};
  const CUresult result =
      TheEncode()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(matrix.data), sizes,
                  strides, box, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                  CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS)
    throw Error("DEVICE_LOST", "CUDA could not describe a matrix to the TMA (error " +
                                   std::to_string(int(result)) +
                                   "). Open the device with exact: true to do without it.");
  return map;
}

}  // namespace alignlab::cuda
