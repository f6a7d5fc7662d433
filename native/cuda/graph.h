// What runs a Step: a graph that is kept, and changed where the next step differs from the last.
// Two versions: graph_nvcc.cu (CUDA graphs) and emulation/graph.cc.
#pragma once

#include <memory>

#include "cuda/runtime.h"
#include "cuda/step.h"

namespace alignlab::cuda {

class StepGraph {
 public:
  explicit StepGraph(Runtime& runtime);
  ~StepGraph();
  StepGraph(const StepGraph&) = delete;
  StepGraph& operator=(const StepGraph&) = delete;

  // Starts the step's nodes, when what is in the stream has run; those of different branches at the
  // same time. Takes them: the next step is compared with
  // them. Throws OUT_OF_MEMORY or DEVICE_LOST.
  void Run(Step& step);

  // Of the step that ran last.
  size_t nodes() const { return last_.nodes().size(); }
  // Since the beginning: graphs that were made, and nodes that were changed in them.
  int64_t made() const { return made_; }
  int64_t changed() const { return changed_; }

 private:
  struct Native;

  void Make(const Step& step);
  // Of node i; false when the graph cannot take the change.
  bool Change(const Step& step, size_t i);
  void Start();

  Runtime& runtime_;
  std::unique_ptr<Native> native_;
  Step last_;
  int64_t made_ = 0, changed_ = 0;
};

}  // namespace alignlab::cuda
