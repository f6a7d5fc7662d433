// StepGraph on the CPU: it holds copies of the nodes and of their arguments, as a CUDA graph does,
// so that a change which was not told shows in the result.
#include "cuda/graph.h"

#include "cuda/emulation/unlock.h"

namespace alignlab::cuda {

struct StepGraph::Native {
  struct Held {
    StepNode node;
    std::vector<std::vector<std::byte>> arguments;
  };
  std::vector<Held> nodes;

  static Held Hold(const Step& step, size_t i) {
    Held held{step.nodes()[i], {}};
    for (const Step::Argument& argument : step.ArgumentsOf(i))
      held.arguments.emplace_back(argument.begin(), argument.end());
    return held;
  }
};

StepGraph::StepGraph(Runtime& runtime) : runtime_(runtime), native_(std::make_unique<Native>()) {}
StepGraph::~StepGraph() = default;

void StepGraph::Make(const Step& step) {
  native_->nodes.clear();
  for (size_t i = 0; i < step.nodes().size(); ++i) native_->nodes.push_back(Native::Hold(step, i));
}

bool StepGraph::Change(const Step& step, size_t i) {
  native_->nodes[i] = Native::Hold(step, i);
  return true;
}

void StepGraph::Start() {
  for (const Native::Held& held : native_->nodes) {
    const StepNode& node = held.node;
    switch (node.kind) {
      case StepNode::Kind::kCopy:
        runtime_.Copy(node.to, node.from, node.bytes);
        break;
      case StepNode::Kind::kZero:
        runtime_.Zero(node.to, node.bytes);
        break;
      case StepNode::Kind::kKernel: {
        std::vector<const std::byte*> arguments;
        for (const auto& argument : held.arguments) arguments.push_back(argument.data());
        node.call(node, arguments.data());
        break;
      }
    }
  }
}

}  // namespace alignlab::cuda
