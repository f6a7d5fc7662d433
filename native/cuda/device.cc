#include "cuda/device.h"

#include <algorithm>
#include <cstring>

#include "error.h"

namespace alignlab::cuda {

namespace {

constexpr size_t kAlign = 256;
constexpr size_t kLeast = size_t(1) << 20;
// Pinned memory is free for other copies after the stream has been waited for.
constexpr size_t kPinnedBeforeWait = size_t(64) << 20;

size_t Aligned(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

Room::~Room() { ReleaseAll(); }

void Room::ReleaseAll() noexcept {
  for (const Block& block : blocks_)
    pinned_ ? runtime_.ReleasePinned(block.data) : runtime_.Release(block.data, block.bytes);
  blocks_.clear();
  used_ = 0;
}

void Room::Add(size_t bytes) {
  void* data = pinned_ ? runtime_.AllocatePinned(bytes) : runtime_.Allocate(bytes);
  if (!data)
    throw Error("OUT_OF_MEMORY",
                "The GPU has no " + std::to_string((bytes >> 20) + 1) +
                    " MiB left for the scratch memory of an operation; " +
                    std::to_string(runtime_.FreeBytes() >> 20) +
                    " MiB are free. Use fewer tokens per pass, or dispose models that are not "
                    "needed.");
  blocks_.push_back({static_cast<char*>(data), bytes});
  used_ = 0;
}

void* Room::Take(size_t bytes) {
  bytes = Aligned(bytes);
  if (blocks_.empty() || used_ + bytes > blocks_.back().bytes) Add(std::max(bytes, kLeast));
  void* piece = blocks_.back().data + used_;
  used_ += bytes;
  return piece;
}

void Room::Reset() {
  if (blocks_.size() > 1) {
    const size_t all = bytes();
    runtime_.Synchronize();
    ReleaseAll();
    Add(all);
  }
  used_ = 0;
}

size_t Room::bytes() const {
  size_t sum = 0;
  for (const Block& block : blocks_) sum += block.bytes;
  return sum;
}

Device::KeptArrays::~KeptArrays() {
  for (const KeptArray& array : of)
    if (array.data) runtime.Release(array.data, array.bytes);
}

Device::Device(int ordinal, bool exact, CudaBackend* owner)
    : owner_(owner),
      properties_(Runtime::Properties(ordinal)),
      runtime_(ordinal),
      scratch_(runtime_, false),
      pinned_(runtime_, true),
      kept_(runtime_),
      cublas_(exact ? nullptr : runtime_.OpenCublas()),
      graph_(runtime_),
      step_staged_(runtime_, false),
      step_pinned_(runtime_, true) {
  if (!exact && HopperRuns(*this)) hopper_ = HopperUse::kLarge;
}

const void* Device::StageBytes(const void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  if (noting_) return StageForStep(host, bytes);
  void* pinned = pinned_.Take(bytes);
  void* data = scratch_.Take(bytes);
  std::memcpy(pinned, host, bytes);
  runtime_.CopyIn(data, pinned, bytes);
  return data;
}

const void* Device::Kept(BatchArray which, uint64_t batch) const {
  const KeptArray& array = (noting_ ? step_arrays_ : kept_.of)[int(which)];
  return batch != 0 && array.batch == batch ? array.data : nullptr;
}

const void* Device::BatchBytes(BatchArray which, uint64_t batch, const void* host, size_t bytes) {
  if (batch == 0) return StageBytes(host, bytes);
  if (noting_) {
    KeptArray& array = step_arrays_[int(which)];
    if (array.batch != batch) array = {batch, StageForStep(host, bytes), bytes};
    return array.data;
  }
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
  Check(!noting_, "a step waits for nothing");
  runtime_.CopyOut(host, data, bytes);
}

void Device::Copy(void* to, const void* from, size_t bytes) {
  noting_ ? step_.AddCopy(to, from, bytes) : runtime_.Copy(to, from, bytes);
}

void Device::Zero(void* data, size_t bytes) {
  noting_ ? step_.AddZero(data, bytes) : runtime_.Zero(data, bytes);
}

void Device::DeliverBytes(const void* data, size_t bytes, Take take) {
  if (noting_) {
    void* host = step_pinned_.Take(bytes);
    step_staged_.Take(bytes);  // both rooms hand out the same places
    step_.AddCopy(host, data, bytes);
    deliveries_.push_back({host, std::move(take)});
    return;
  }
  std::vector<std::byte> host(bytes);
  runtime_.CopyOut(host.data(), data, bytes);
  take(host.data());
}

void Device::EndOperation() {
  if (noting_) return scratch_.Rewind();
  scratch_.Reset();
  if (pinned_.bytes() < kPinnedBeforeWait) return;
  runtime_.Synchronize();
  pinned_.Reset();
}

void* Device::StageForStep(const void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  auto* pinned = static_cast<char*>(step_pinned_.Take(bytes));
  auto* data = static_cast<char*>(step_staged_.Take(bytes));
  std::memcpy(pinned, host, bytes);
  const size_t whole = Aligned(bytes);
  Upload* last = uploads_.empty() ? nullptr : &uploads_.back();
  if (last && last->data + last->bytes == data && last->pinned + last->bytes == pinned)
    last->bytes += whole;
  else
    uploads_.push_back({data, pinned, whole});
  return data;
}

void Device::BeginStep() {
  EndStep();
  noting_ = true;
}

// What the step reads of the host goes first, in as few copies as there are pieces.
void Device::RunStep() {
  Check(noting_, "a step was begun");
  runtime_.Select();
  for (const Upload& upload : uploads_) runtime_.CopyIn(upload.data, upload.pinned, upload.bytes);
  graph_.Run(step_);
  runtime_.Synchronize();
  const std::vector<Delivery> deliveries = std::move(deliveries_);
  for (const Delivery& delivery : deliveries) delivery.take(delivery.host);
  EndStep();
}

void Device::EndStep() {
  noting_ = false;
  step_.Clear();
  uploads_.clear();
  deliveries_.clear();
  for (KeptArray& array : step_arrays_) array = {};
  step_staged_.Reset();
  step_pinned_.Reset();
  scratch_.Reset();
}

}  // namespace alignlab::cuda
