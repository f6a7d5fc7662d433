#include "cuda/device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "error.h"

namespace alignlab::cuda {

namespace {

// Pinned memory is free for other copies after the stream has been waited for.
constexpr size_t kPinnedBeforeWait = size_t(64) << 20;

}  // namespace

bool IsOff(const char* variable) {
  const char* value = std::getenv(variable);
  return value && std::strcmp(value, "off") == 0;
}

Device::KeptArrays::~KeptArrays() {
  for (const KeptArray& array : of)
    if (array.data) runtime.Release(array.data, array.bytes);
}

Device::Device(int ordinal, bool exact, CudaBackend* owner)
    : owner_(owner),
      properties_(Runtime::Properties(ordinal)),
      runtime_(ordinal),
      pinned_(runtime_, true),
      kept_(runtime_),
      cublas_(exact ? nullptr : runtime_.OpenCublas()),
      notes_(runtime_) {
  scratch_.emplace_back(runtime_, false);
  if (!exact && !IsOff("ALIGNLAB_CUDA_HOPPER") && HopperRuns(*this)) hopper_ = HopperUse::kLarge;
}

const void* Device::StageBytes(const void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  if (notes_.open()) return notes_.Stage(host, bytes);
  void* pinned = pinned_.Take(bytes);
  void* data = ScratchRoom().Take(bytes);
  std::memcpy(pinned, host, bytes);
  runtime_.CopyIn(data, pinned, bytes);
  return data;
}

const void* Device::Kept(BatchArray which, uint64_t batch) const {
  if (notes_.open()) return notes_.Kept(which, batch);
  const KeptArray& array = kept_.of[int(which)];
  return batch != 0 && array.batch == batch ? array.data : nullptr;
}

const void* Device::BatchBytes(BatchArray which, uint64_t batch, const void* host, size_t bytes) {
  if (batch == 0) return StageBytes(host, bytes);
  if (notes_.open()) return notes_.StageBatch(which, batch, host, bytes);
  KeptArray& array = kept_.of[int(which)];
  if (array.batch == batch) return array.data;
  array.batch = 0;
  if (array.bytes < bytes) {
    if (array.data) {
      runtime_.Synchronize();
      runtime_.Release(array.data, array.bytes);
    }
    array.data = nullptr;
    array.bytes = 0;
    array.data = runtime_.Allocate(Aligned(2 * bytes));
    if (!array.data)
      throw Error("OUT_OF_MEMORY",
                  "The GPU has no memory left for the tables of a batch. Use fewer "
                  "tokens per pass.");
    array.bytes = Aligned(2 * bytes);
  }
  if (bytes > 0) {
    void* pinned = pinned_.Take(bytes);
    std::memcpy(pinned, host, bytes);
    runtime_.CopyIn(array.data, pinned, bytes);
  }
  array.batch = batch;
  return array.data;
}

void Device::CopyOut(void* host, const void* data, size_t bytes) {
  Check(!notes_.open(), "a step waits for nothing");
  runtime_.CopyOut(host, data, bytes);
}

void Device::Copy(void* to, const void* from, size_t bytes) {
  notes_.open() ? notes_.step().AddCopy(to, from, bytes) : runtime_.Copy(to, from, bytes);
}

void Device::Zero(void* data, size_t bytes) {
  notes_.open() ? notes_.step().AddZero(data, bytes) : runtime_.Zero(data, bytes);
}

void Device::DeliverBytes(const void* data, size_t bytes, Take take) {
  if (notes_.open()) return notes_.Deliver(data, bytes, std::move(take));
  std::vector<std::byte> host(bytes);
  runtime_.CopyOut(host.data(), data, bytes);
  take(host.data());
}

void Device::EndOperation() {
  if (notes_.open()) return ScratchRoom().Rewind();
  ScratchRoom().Reset();
  if (pinned_.bytes() < kPinnedBeforeWait) return;
  runtime_.Synchronize();
  pinned_.Reset();
}

void Device::BeginStep(int32_t branches) {
  notes_.Begin(branches);
  while (int64_t(scratch_.size()) < branches) scratch_.emplace_back(runtime_, false);
}

void Device::BranchStep(int32_t number) {
  Check(notes_.open() && number >= 0 && number < branches(), "a branch is one of a step");
  notes_.step().Branch(number);
}

// A step that is not open is on branch 0.
Room& Device::ScratchRoom() { return scratch_[size_t(notes_.step().branch())]; }

void Device::ResetScratch() {
  for (Room& room : scratch_) room.Reset();
}

void Device::RunStep() {
  notes_.Run();
  ResetScratch();
}

void Device::EndStep() {
  notes_.End();
  ResetScratch();
}

}  // namespace alignlab::cuda
