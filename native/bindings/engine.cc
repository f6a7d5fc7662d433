#include "bindings/engine.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "backend/control_group.h"
#include "bindings/environment.h"

namespace alignlab {

namespace {

constexpr int kMaxThreads = 1024;

// Threads that share what a container is granted would be stopped in the middle of their work,
// while the others wait for it: so no more than whole processors' worth of time.
int DefaultThreads() {
  const double processors = std::max(1u, std::thread::hardware_concurrency());
  return std::max(1, int(std::min(processors, ControlGroups().Processors())));
}

int ThreadsFromEnvironment() {
  const char* text = std::getenv("ALIGNLAB_THREADS");
  if (!text || !*text) return DefaultThreads();
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  if (*end || threads < 1 || threads > kMaxThreads)
    throw Error("OPTION_INVALID", std::string("ALIGNLAB_THREADS is '") + text +
                                      "'; it must be a whole number from 1 to 1024.");
  return int(threads);
}

}  // namespace

Engine::Engine(Napi::Env env) : backend_(ThreadsFromEnvironment()), executor_(env) {}

const Backend& Engine::BackendOf(int device, bool exact) {
  if (device < 0) return backend_.table();
  auto& backend = cuda_[{device, exact}];
  if (!backend) backend = CudaLibrary::Get().Open(device, exact);
  return *backend;
}

std::shared_ptr<const Backend> Engine::OpenApart(int device) {
  std::erase_if(apart_, [](const auto& entry) { return entry.second.expired(); });
  std::shared_ptr<const Backend> backend = CudaLibrary::Get().Open(device, /*exact=*/true);
  apart_.emplace_back(device, backend);
  return backend;
}

CudaMemoryUse Engine::MemoryUseOf(int device) const {
  CudaMemoryUse sum{};
  const auto add = [&](int of, const Backend* backend) {
    if (of != device || !backend) return;
    const CudaMemoryUse own = CudaLibrary::Get().MemoryUseOf(*backend);
    sum.in_use += own.in_use;
    sum.peak += own.peak;
  };
  for (const auto& [key, backend] : cuda_) add(key.first, backend.get());
  for (const auto& [of, backend] : apart_) add(of, backend.lock().get());
  return sum;
}

std::shared_ptr<Engine> Engine::Of(Napi::Env env) {
  auto* environment = env.GetInstanceData<Environment>();
  if (!environment->engine) environment->engine = std::make_shared<Engine>(env);
  return environment->engine;
}

}  // namespace alignlab
