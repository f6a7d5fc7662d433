#include "cuda/step.h"

#include <algorithm>
#include <tuple>

namespace alignlab::cuda {

void Step::Clear() {
  branch_ = 0;
  nodes_.clear();
  places_.clear();
  bytes_.clear();
}

StepNode& Step::Add(StepNode::Kind kind) {
  StepNode node{kind, branch_};
  node.first_argument = node.end_argument = places_.size();
  return nodes_.emplace_back(node);
}

void Step::AddCopy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  StepNode& node = Add(StepNode::Kind::kCopy);
  node.to = to;
  node.from = from;
  node.bytes = bytes;
}

void Step::AddZero(void* to, size_t bytes) {
  if (bytes == 0) return;
  StepNode& node = Add(StepNode::Kind::kZero);
  node.to = to;
  node.bytes = bytes;
}

// The bytes may move later: places are offsets, and aligned in them only.
std::byte* Step::AddArgument(size_t bytes, size_t alignment) {
  const size_t at = (bytes_.size() + alignment - 1) / alignment * alignment;
  bytes_.resize(at + bytes);
  places_.push_back({at, bytes});
  return bytes_.data() + at;
}

Step::Argument Step::ArgumentAt(size_t place) const {
  return {bytes_.data() + places_[place].at, places_[place].bytes};
}

std::vector<Step::Argument> Step::ArgumentsOf(size_t i) const {
  std::vector<Argument> arguments;
  for (size_t k = nodes_[i].first_argument; k < nodes_[i].end_argument; ++k)
    arguments.push_back(ArgumentAt(k));
  return arguments;
}

bool Step::SameShape(const Step& other) const {
  if (nodes_.size() != other.nodes_.size()) return false;
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (nodes_[i].kind != other.nodes_[i].kind || nodes_[i].branch != other.nodes_[i].branch)
      return false;
  return true;
}

bool Step::SameNode(const Step& other, size_t i) const {
  const StepNode &a = nodes_[i], &b = other.nodes_[i];
  const auto launch = [](const StepNode& n) {
    return std::tuple(n.kernel, n.grid.x, n.grid.y, n.grid.z, n.threads, n.shared);
  };
  const auto copy = [](const StepNode& n) { return std::tuple(n.to, n.from, n.bytes); };
  const size_t count = a.end_argument - a.first_argument;
  if (launch(a) != launch(b) || copy(a) != copy(b) || count != b.end_argument - b.first_argument)
    return false;
  for (size_t k = 0; k < count; ++k)
    if (!std::ranges::equal(ArgumentAt(a.first_argument + k),
                            other.ArgumentAt(b.first_argument + k)))
      return false;
  return true;
}

}  // namespace alignlab::cuda
