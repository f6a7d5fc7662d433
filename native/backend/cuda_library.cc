#include "backend/cuda_library.h"

#include <dlfcn.h>

#include <cstdlib>

#include "error.h"

namespace alignlab {

namespace {

constexpr const char* kFileName = "alignlab_cuda.so";

std::string FolderOfThisLibrary() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<const void*>(&FolderOfThisLibrary), &info) || !info.dli_fname)
    return ".";
  const std::string path = info.dli_fname;
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace

const CudaLibrary& CudaLibrary::Get() {
  static const CudaLibrary library;
  return library;
}

CudaLibrary::CudaLibrary() {
  const char* named = std::getenv("ALIGNLAB_CUDA_LIBRARY");
  Load(named && *named ? named : FolderOfThisLibrary() + "/" + kFileName);
}

void CudaLibrary::Load(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* error = dlerror();
    reason_ = std::string("the CUDA library could not be opened (") + (error ? error : path) +
              "). Build it where nvcc is (npm run build:cuda), or use device: 'cpu'.";
    return;
  }
  const auto function = reinterpret_cast<CudaEntryFunction>(dlsym(handle, kCudaEntryName));
  const CudaEntry* entry = function ? function() : nullptr;
  if (!entry || entry->abi != kBackendAbi) {
    reason_ = path + " is of another build than the addon. Run npm run build:cuda.";
    return;
  }
  device_count_ = entry->device_count();
  if (device_count_ == 0) {
    reason_ =
        "there is no NVIDIA GPU, or no driver for it. Look at nvidia-smi, or use device: 'cpu'.";
    return;
  }
  entry_ = entry;
}

void CudaLibrary::Require(int ordinal) const {
  if (device_count_ == 0)
    throw Error("DEVICE_UNAVAILABLE", "device 'cuda' is not available: " + reason_);
  if (ordinal < 0 || ordinal >= device_count_)
    throw Error("DEVICE_UNAVAILABLE", "There is no device 'cuda:" + std::to_string(ordinal) +
                                          "'; this machine has " + std::to_string(device_count_) +
                                          ", counted from 0.");
}

CudaDeviceDescription CudaLibrary::Describe(int ordinal) const {
  Require(ordinal);
  CudaDeviceDescription description{};
  entry_->describe(ordinal, &description);
  return description;
}

std::shared_ptr<const Backend> CudaLibrary::Open(int ordinal, bool exact) const {
  Require(ordinal);
  return {entry_->open(ordinal, exact), entry_->close};
}

}  // namespace alignlab
