// What a device keeps of the step that is being noted (step.h): besides the nodes, the host's
// arrays that they read, and who gets what they give to the host.
#pragma once

#include <functional>
#include <vector>

#include "cuda/graph.h"
#include "cuda/room.h"

namespace alignlab::cuda {

// Index arrays that every block of the model reads, kept on the device for as long as the calls
// name the same batch.
enum class BatchArray {
  kPositions,
  kSlots,
  kSegments,
  kPages,
  kTiles,
  kWideTiles,
  kTreeTiles,
  kWideTreeTiles,
  kCount
};

// Takes a copy in the host's memory.
using Take = std::function<void(const void*)>;

class StepNotes {
 public:
  explicit StepNotes(Runtime& runtime)
      : runtime_(runtime), graph_(runtime), staged_(runtime, false), pinned_(runtime, true) {}

  // While a step is noted.
  bool open() const { return open_; }
  Step& step() { return step_; }
  const Step& step() const { return step_; }
  const StepGraph& graph() const { return graph_; }

  void Begin(int32_t branches);
  // Uploads, starts all nodes, waits if there is something to deliver, and delivers.
  void Run();
  void End();

  // A copy on the device from when the step runs until it has ended.
  void* Stage(const void* host, size_t bytes);
  // The same, once a step for each batch.
  void* StageBatch(BatchArray which, uint64_t batch, const void* host, size_t bytes);
  const void* Kept(BatchArray which, uint64_t batch) const;
  // Calls take(the device's `bytes` from `data`) when the step has run.
  void Deliver(const void* data, size_t bytes, Take take);

 private:
  struct Upload {
    char* data;
    char* pinned;
    size_t bytes;
  };
  struct Delivery {
    const void* host;
    Take take;
  };
  struct Array {
    uint64_t batch = 0;
    void* data = nullptr;
  };

  Runtime& runtime_;
  bool open_ = false;
  Step step_, joined_;
  StepGraph graph_;
  Room staged_, pinned_;  // the same pieces at the same places
  std::vector<Upload> uploads_;
  std::vector<Delivery> deliveries_;
  Array arrays_[int(BatchArray::kCount)];
};

}  // namespace alignlab::cuda
