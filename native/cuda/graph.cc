#include "cuda/graph.h"

#include <utility>

namespace alignlab::cuda {

void StepGraph::Run(Step& step) {
  if (step.nodes().empty()) return;
  bool fits = !last_.nodes().empty() && step.SameShape(last_);
  for (size_t i = 0; fits && i < step.nodes().size(); ++i) {
    if (step.SameNode(last_, i)) continue;
    fits = Change(step, i);
    ++changed_;
  }
  if (!fits) {
    last_.Clear();  // should making it fail, there is none
    Make(step);
    ++made_;
  }
  std::swap(last_, step);
  Start();
}

}  // namespace alignlab::cuda
