// Runtime over CUDA's runtime API.
#include <cuda_runtime.h>

#include "cuda/cublas.h"
#include "cuda/runtime.h"
#include "error.h"

namespace alignlab::cuda {

namespace {

cudaStream_t StreamOf(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

int Runtime::DeviceCount() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess;
  cudaGetLastError();  // a machine without a driver is no failure
  return found ? count : 0;
}

GpuProperties Runtime::Properties(int ordinal) {
  cudaDeviceProp p{};
  if (cudaGetDeviceProperties(&p, ordinal) != cudaSuccess) {
    cudaGetLastError();
    throw Error("DEVICE_UNAVAILABLE", "The CUDA device " + std::to_string(ordinal) +
                                          " does not answer. Look at nvidia-smi.");
  }
  return {
      p.name, p.major, p.minor, p.multiProcessorCount, p.totalGlobalMem, p.sharedMemPerBlockOptin};
}

Runtime::Runtime(int ordinal) : ordinal_(ordinal) {
  Check(cudaSetDevice(ordinal), "select the device");
  cudaStream_t stream;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "make a stream");
  stream_ = stream;
}

Runtime::~Runtime() {
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(StreamOf(stream_));
  cudaStreamDestroy(StreamOf(stream_));
}

void Runtime::Check(int status, const char* what) {
  const auto error = static_cast<cudaError_t>(status);
  if (error == cudaSuccess) return;
  cudaGetLastError();
  lost_ = true;
  throw Error("DEVICE_LOST", "CUDA could not " + std::string(what) + ": " +
                                 cudaGetErrorString(error) +
                                 ". Dispose the models of this device and start the process anew; "
                                 "nvidia-smi and dmesg tell more.");
}

void* Runtime::Allocate(size_t bytes) {
  Select();
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  Check(error, "allocate memory");
  count_.Add(bytes);
  return data;
}

void Runtime::Release(void* data, size_t bytes) noexcept {
  cudaSetDevice(ordinal_);
  cudaFree(data);
  count_.Remove(bytes);
  cudaGetLastError();
}

size_t Runtime::FreeBytes() const {
  size_t free = 0, total = 0;
  cudaSetDevice(ordinal_);
  return cudaMemGetInfo(&free, &total) == cudaSuccess ? free : 0;
}

void* Runtime::AllocatePinned(size_t bytes) {
  void* data = nullptr;
  if (cudaMallocHost(&data, bytes) != cudaSuccess) {
    cudaGetLastError();
    throw Error("OUT_OF_MEMORY",
                "No pinned memory for copies to the GPU: " + std::to_string(bytes >> 20) +
                    " MiB were asked for. Free memory of the host.");
  }
  return data;
}

void Runtime::ReleasePinned(void* data) noexcept {
  cudaFreeHost(data);
  cudaGetLastError();
}

// Calls come from several threads, and the current device belongs to the thread.
void Runtime::Select() { Check(cudaSetDevice(ordinal_), "select the device"); }

void Runtime::Zero(void* data, size_t bytes) {
  Select();
  Check(cudaMemsetAsync(data, 0, bytes, StreamOf(stream_)), "clear memory");
}

void Runtime::Copy(void* to, const void* from, size_t bytes) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, StreamOf(stream_)),
        "copy on the device");
}

void Runtime::CopyIn(void* to, const void* from, size_t bytes) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, StreamOf(stream_)),
        "copy to the device");
}

void Runtime::CopyOut(void* to, const void* from, size_t bytes) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, StreamOf(stream_)),
        "copy from the device");
  Synchronize();
}

void Runtime::Synchronize() { Check(cudaStreamSynchronize(StreamOf(stream_)), "finish its work"); }

std::unique_ptr<Cublas> Runtime::OpenCublas() {
  Select();
  return Cublas::Open();
}

void Runtime::CheckLaunch() {
  if (lost_)
    throw Error("DEVICE_LOST",
                "The CUDA device failed before. Dispose its models and start the process anew.");
  Check(cudaGetLastError(), "launch a kernel");
}

}  // namespace alignlab::cuda
