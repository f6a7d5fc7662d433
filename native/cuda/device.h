// The first argument of every CUDA operation: a runtime with its stream, room for what one
// operation needs besides its arguments, copies of the index arrays that stay for a whole batch,
// and the step that is being noted.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "cuda/attention_tiles.h"
#include "cuda/cublas.h"
#include "cuda/memo.h"
#include "cuda/room.h"
#include "cuda/step_notes.h"

namespace alignlab::cuda {

class CudaBackend;

// Which bf16 products and attention, forward and backward, run by Hopper's own instructions
// (kernels/hopper_*.cu), where they can take them: those that fill its tiles, or, for tests, all.
enum class HopperUse { kNever, kLarge, kAlways };
class Device;
// Whether the device can: compute capability 9.0, a driver with tensor maps, and a library that was
// built for sm_90a.
bool HopperRuns(Device& device);
// Whether the environment variable is "off".
bool IsOff(const char* variable);

class Device {
 public:
  // Exact: a row's bits do not depend on its batch. Else large products go to cuBLASLt, where the
  // machine has it, or else to Hopper's instructions, where the device has them; products with an
  // activation, which cuBLASLt would leave to a kernel of its own, and attention of long runs go to
  // these in any case. ALIGNLAB_CUDA_HOPPER=off does without them. An exact device
  // does without them until a GPU has shown two things: that their results depend neither on a
  // tile's width nor on a row's place in it, and that they round like the m16n8k16 products of
  // attention and of small batches.
  explicit Device(int ordinal, bool exact = true, CudaBackend* owner = nullptr);

  CudaBackend* owner() const { return owner_; }

  Runtime& runtime() { return runtime_; }
  const GpuProperties& properties() const { return properties_; }
  bool exact() const { return !cublas_ && hopper_ == HopperUse::kNever; }
  void* stream() const { return runtime_.stream(); }

  // Null: not used. Its products cannot be noted, so a step does without.
  Cublas* cublas() const { return notes_.open() ? nullptr : cublas_.get(); }
  void UseHopper(HopperUse use) { hopper_ = use; }
  HopperUse hopper() const { return hopper_; }

  // Device memory until the end of the operation, not cleared.
  template <class T>
  T* Scratch(int64_t count) {
    return static_cast<T*>(ScratchRoom().Take(size_t(count) * sizeof(T)));
  }
  // A copy on the device of `count` elements of the host's memory, until the end of the operation.
  template <class T>
  const T* Stage(const T* host, int64_t count) {
    return static_cast<const T*>(StageBytes(host, size_t(count) * sizeof(T)));
  }
  // The same, kept while `batch` is the same number and not 0.
  template <class T>
  const T* StageBatch(BatchArray which, uint64_t batch, const T* host, int64_t count) {
    return static_cast<const T*>(BatchBytes(which, batch, host, size_t(count) * sizeof(T)));
  }
  // Of a batch's tiles, by its number and their block of positions (attention_host.h).
  Memo<TileExtent, 2>& tile_extents() { return tile_extents_; }
  // The kept array of this batch, or null when it has to be staged.
  const void* Kept(BatchArray which, uint64_t batch) const;
  // Host memory that the device fills: CopyOut waits, and cannot be a part of a step.
  template <class T>
  void CopyOut(T* host, const T* data, int64_t count) {
    CopyOut(static_cast<void*>(host), data, size_t(count) * sizeof(T));
  }
  void CopyOut(void* host, const void* data, size_t bytes);
  // Calls take(host's copy of `count` elements): now, or when the step that is noted has run.
  template <class T>
  void Deliver(const T* data, int64_t count, std::function<void(const T*)> take) {
    DeliverBytes(data, size_t(count) * sizeof(T),
                 [take = std::move(take)](const void* host) { take(static_cast<const T*>(host)); });
  }
  void Copy(void* to, const void* from, size_t bytes);
  void Zero(void* data, size_t bytes);

  void EndOperation();

  // From BeginStep on, operations are noted; RunStep starts them at once, and delivers when they
  // have run. EndStep forgets what was noted, if anything is.
  void BeginStep(int32_t branches);
  // Operations of branches run at the same time, so each branch has scratch memory of its own.
  void BranchStep(int32_t number);
  // How many times what is asked for now runs at the same time.
  int32_t branches() const { return notes_.step().branches(); }
  void RunStep();
  void EndStep();
  Step* step() { return notes_.open() ? &notes_.step() : nullptr; }
  const StepGraph& graph() const { return notes_.graph(); }

 private:
  Room& ScratchRoom();
  void ResetScratch();
  void DeliverBytes(const void* data, size_t bytes, Take take);
  const void* StageBytes(const void* host, size_t bytes);
  const void* BatchBytes(BatchArray which, uint64_t batch, const void* host, size_t bytes);

  struct KeptArray {
    uint64_t batch = 0;
    void* data = nullptr;
    size_t bytes = 0;
  };
  struct KeptArrays {
    explicit KeptArrays(Runtime& r) : runtime(r) {}
    ~KeptArrays();
    Runtime& runtime;
    KeptArray of[int(BatchArray::kCount)];
  };

  CudaBackend* owner_;
  GpuProperties properties_;
  Runtime runtime_;
  std::deque<Room> scratch_;  // of each branch of a step; outside of one the first serves
  Room pinned_;
  KeptArrays kept_;
  Memo<TileExtent, 2> tile_extents_{64};
  std::unique_ptr<Cublas> cublas_;
  HopperUse hopper_ = HopperUse::kNever;
  StepNotes notes_;
};

// Each operation has one while it runs: what it took from the device is free when it ends. Kernels
// run in the order of the stream, so the next operation may take the same memory at once.
class Operation {
 public:
  explicit Operation(void* device) : device_(*static_cast<Device*>(device)) {
    device_.runtime().Select();
  }
  ~Operation() noexcept(false) { device_.EndOperation(); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  Device* operator->() const { return &device_; }
  Device& device() const { return device_; }

 private:
  Device& device_;
};

}  // namespace alignlab::cuda
