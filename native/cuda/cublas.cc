#include "cuda/cublas.h"

#include <dlfcn.h>

#include <cstdlib>

#include "error.h"

namespace alignlab::cuda {

namespace {

using cublas::Functions;

void* OpenLibrary() {
  // The directory of the wheels or of the toolkit need not be on the loader's path.
  const char* named = std::getenv("ALIGNLAB_CUBLASLT");
  for (const char* file : {named, "libcublasLt.so.13", "libcublasLt.so.12"}) {
    if (!file || !*file) continue;
    if (void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

template <class F>
bool Find(void* library, const char* name, F* to) {
  *to = reinterpret_cast<F>(dlsym(library, name));
  return *to != nullptr;
}

bool FindAll(void* library, Functions* f) {
  return Find(library, "cublasLtGetVersion", &f->get_version) &&
         Find(library, "cublasLtCreate", &f->create) &&
         Find(library, "cublasLtDestroy", &f->destroy) &&
         Find(library, "cublasLtMatmulDescCreate", &f->description_create) &&
         Find(library, "cublasLtMatmulDescDestroy", &f->description_destroy) &&
         Find(library, "cublasLtMatmulDescSetAttribute", &f->description_set) &&
         Find(library, "cublasLtMatrixLayoutCreate", &f->layout_create) &&
         Find(library, "cublasLtMatrixLayoutDestroy", &f->layout_destroy) &&
         Find(library, "cublasLtMatmulPreferenceCreate", &f->preference_create) &&
         Find(library, "cublasLtMatmulPreferenceDestroy", &f->preference_destroy) &&
         Find(library, "cublasLtMatmulPreferenceSetAttribute", &f->preference_set) &&
         Find(library, "cublasLtMatmulAlgoGetHeuristic", &f->heuristic) &&
         Find(library, "cublasLtMatmul", &f->matmul);
}

int TypeOf(DType dtype) { return dtype == DType::kF32 ? cublas::kReal32F : cublas::kReal16BF; }

// The largest power of two, up to 256, that divides the address.
uint32_t AlignmentOf(const void* p) {
  uint32_t alignment = 256;
  while (reinterpret_cast<uintptr_t>(p) % alignment != 0) alignment /= 2;
  return alignment;
}

void Must(int status, const char* what) {
  if (status != 0)
    throw Error("DEVICE_LOST", "cuBLASLt could not " + std::string(what) + " (status " +
                                   std::to_string(status) +
                                   "). Open the device with exact: true to do without it.");
}

}  // namespace

// cuBLAS counts columns first: a row-major matrix is its transpose there. So what it computes is
// to^T = B A^T, (n, m): its A is our B, which needs a transposition when its rows run along the
// depth, and its B is our A, which needs one when they do not.
struct Cublas::Descriptors {
  const Functions& f;
  cublas::Description description = nullptr;
  cublas::Layout first = nullptr, second = nullptr, result = nullptr;
  cublas::Preference preference = nullptr;

  Descriptors(const Functions& functions, const CublasProduct& p) : f(functions) {
    Must(f.description_create(&description, cublas::kCompute32F, cublas::kReal32F), "start");
    Set(cublas::kTransposeA, p.b.along_depth ? cublas::kTransposed : cublas::kAsItIs);
    Set(cublas::kTransposeB, p.a.along_depth ? cublas::kAsItIs : cublas::kTransposed);
    if (p.bias) {
      Set(cublas::kEpilogue, cublas::kAddBias);
      Set(cublas::kBiasPointer, static_cast<const void*>(p.bias));
      Set(cublas::kBiasDataType, cublas::kReal32F);
    }
    first = Operand(p.type, p.b, p.n, p.depth);
    second = Operand(p.type, p.a, p.m, p.depth);
    Must(f.layout_create(&result, TypeOf(p.to.dtype), uint64_t(p.n), uint64_t(p.m), p.to.stride),
         "describe a matrix");
    Must(f.preference_create(&preference), "start");
    Prefer(cublas::kMaxWorkspaceBytes, kWorkspaceBytes);
    Prefer(cublas::kMinAlignmentA, AlignmentOf(p.b.data));
    Prefer(cublas::kMinAlignmentB, AlignmentOf(p.a.data));
    Prefer(cublas::kMinAlignmentC, AlignmentOf(p.to.data));
    Prefer(cublas::kMinAlignmentD, AlignmentOf(p.to.data));
  }
  ~Descriptors() {
    if (preference) f.preference_destroy(preference);
    for (cublas::Layout layout : {first, second, result})
      if (layout) f.layout_destroy(layout);
    if (description) f.description_destroy(description);
  }
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

 private:
  template <class T>
  void Set(int attribute, T value) {
    Must(f.description_set(description, attribute, &value, sizeof value), "describe a product");
  }
  template <class T>
  void Prefer(int attribute, T value) {
    Must(f.preference_set(preference, attribute, &value, sizeof value), "describe a product");
  }
  cublas::Layout Operand(DType type, const CublasOperand& of, int64_t outputs, int64_t depth) {
    cublas::Layout layout = nullptr;
    Must(f.layout_create(&layout, TypeOf(type), uint64_t(of.along_depth ? depth : outputs),
                         uint64_t(of.along_depth ? outputs : depth), of.stride),
         "describe a matrix");
    return layout;
  }
};

std::unique_ptr<Cublas> Cublas::Start(const Functions& functions) {
  cublas::Handle handle = nullptr;
  if (functions.create(&handle) != 0) return nullptr;
  return std::unique_ptr<Cublas>(new Cublas(functions, handle));
}

std::unique_ptr<Cublas> Cublas::Open() {
  void* library = OpenLibrary();  // stays: other users of the process may share it
  Functions functions{};
  return library && FindAll(library, &functions) ? Start(functions) : nullptr;
}

std::string Cublas::Version() const {
  const size_t v = functions_.get_version();
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100);
}

const cublas::Algorithm* Cublas::Choose(const CublasProduct& p, const Descriptors& of) {
  const std::vector<int64_t> key = {int64_t(p.type),
                                    p.a.along_depth,
                                    p.b.along_depth,
                                    p.a.stride,
                                    p.b.stride,
                                    p.m,
                                    p.n,
                                    p.depth,
                                    int64_t(p.to.dtype),
                                    p.to.stride,
                                    p.bias != nullptr,
                                    AlignmentOf(p.a.data),
                                    AlignmentOf(p.b.data),
                                    AlignmentOf(p.to.data)};
  const auto known = choices_.find(key);
  const auto answer = [](const Choice& choice) {
    return choice.found ? &choice.algorithm : nullptr;
  };
  if (known != choices_.end()) return answer(known->second);
  cublas::Heuristic best{};
  int found = 0;
  const int status = functions_.heuristic(handle_, of.description, of.first, of.second, of.result,
                                          of.result, of.preference, 1, &best, &found);
  const Choice choice{status == 0 && found > 0 && best.status == 0, best.algorithm};
  return answer(choices_.emplace(key, choice).first->second);
}

bool Cublas::Multiply(const CublasProduct& p, void* workspace, void* stream) {
  // It has no sum of bf16 and f32 that rounds once.
  if (p.m == 0 || p.n == 0 || p.depth == 0 || (p.accumulate && p.to.dtype != DType::kF32))
    return false;
  const Descriptors of(functions_, p);
  const cublas::Algorithm* algorithm = Choose(p, of);
  if (!algorithm) return false;
  const float one = 1, before = p.accumulate ? 1 : 0;
  Must(functions_.matmul(handle_, of.description, &one, p.b.data, of.first, p.a.data, of.second,
                         &before, p.to.data, of.result, p.to.data, of.result, algorithm, workspace,
                         kWorkspaceBytes, stream),
       "multiply");
  return true;
}

}  // namespace alignlab::cuda
