// StepGraph on the CPU: it holds copies of the nodes and of their arguments, as a CUDA graph does,
// so that a change which was not told shows in the result. Branches take turns in a random order,
// so that memory which they should not have shared shows, too.
#include "cuda/graph.h"

#include <map>
#include <random>

#include "cuda/emulation/emulation.h"
#include "cuda/emulation/unlock.h"

namespace alignlab::cuda {

struct StepGraph::Native {
  struct Held {
    StepNode node;
    std::vector<std::vector<std::byte>> arguments;
  };
  std::vector<Held> nodes;
  std::mt19937_64 random{emulation::Seed()};

  // All nodes, those of each branch in order.
  std::vector<const Held*> InSomeOrder() {
    std::map<int32_t, std::vector<const Held*>> branches;
    for (auto held = nodes.rbegin(); held != nodes.rend(); ++held)
      branches[held->node.branch].push_back(&*held);
    std::vector<const Held*> all;
    while (!branches.empty()) {
      const auto branch = std::next(branches.begin(), long(random() % branches.size()));
      all.push_back(branch->second.back());
      branch->second.pop_back();
      if (branch->second.empty()) branches.erase(branch);
    }
    return all;
  }

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
  for (const Native::Held* held : native_->InSomeOrder()) {
    const StepNode& node = held->node;
    switch (node.kind) {
      case StepNode::Kind::kCopy:
        runtime_.Copy(node.to, node.from, node.bytes);
        break;
      case StepNode::Kind::kZero:
        runtime_.Zero(node.to, node.bytes);
        break;
      case StepNode::Kind::kKernel: {
        std::vector<const std::byte*> arguments;
        for (const auto& argument : held->arguments) arguments.push_back(argument.data());
        node.call(node, arguments.data());
        break;
      }
    }
  }
}

}  // namespace alignlab::cuda
