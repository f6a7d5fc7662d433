#include "cuda/step.h"

#include <algorithm>
#include <tuple>

namespace alignlab::cuda {

namespace {

auto LaunchOf(const StepNode& n) {
  return std::tuple(n.kernel, n.grid.x, n.grid.y, n.grid.z, n.threads, n.shared);
}

// std::equal would go byte by byte.
bool SameBytes(Step::Argument a, Step::Argument b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

void Step::Clear(int32_t branches) {
  branch_ = 0;
  branches_ = branches;
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

Step::Branches Step::NodesOfBranches() const {
  Branches branches(static_cast<size_t>(branches_));
  for (size_t i = 0; i < nodes_.size(); ++i) branches[size_t(nodes_[i].branch)].push_back(i);
  return branches;
}

bool Step::CanJoin(const Branches& branches) const {
  const std::vector<size_t>& first = branches[0];
  return std::ranges::all_of(branches, [&](const std::vector<size_t>& branch) {
    return std::ranges::equal(branch, first, [&](size_t i, size_t j) {
      return nodes_[i].joined && LaunchOf(nodes_[i]) == LaunchOf(nodes_[j]);
    });
  });
}

bool Step::Join(Step& joined) const {
  if (branches_ == 1) return false;
  const Branches branches = NodesOfBranches();
  if (!CanJoin(branches)) return false;
  const size_t count = branches.size(), groups = (count + kMostJoined - 1) / kMostJoined;
  joined.Clear(int32_t(groups));
  for (size_t group = 0; group < groups; ++group) {
    joined.Branch(int32_t(group));
    for (size_t at = 0; at < branches[0].size(); ++at)
      joined.AddJoined(*this, branches, at, count * group / groups, count * (group + 1) / groups);
  }
  return true;
}

// Node `at` of branches [begin, end) of `from`.
void Step::AddJoined(const Step& from, const Branches& branches, size_t at, size_t begin,
                     size_t end) {
  const StepNode& one = from.nodes_[branches[begin][at]];
  const size_t bytes = from.ArgumentAt(one.first_argument).size();
  StepNode& node = Add(StepNode::Kind::kKernel);
  node.kernel = one.joined;
  node.call = one.call_joined;
  node.grid = {one.grid.x, one.grid.y, int64_t(end - begin)};
  node.threads = one.threads;
  node.shared = one.shared;
  std::byte* to = AddArgument(kMostJoined * bytes, alignof(std::max_align_t));
  for (size_t b = begin; b < end; ++b, to += bytes)
    std::memcpy(to, from.ArgumentAt(from.nodes_[branches[b][at]].first_argument).data(), bytes);
  node.end_argument = places_.size();
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
  const auto copy = [](const StepNode& n) { return std::tuple(n.to, n.from, n.bytes); };
  const size_t count = a.end_argument - a.first_argument;
  if (LaunchOf(a) != LaunchOf(b) || copy(a) != copy(b) ||
      count != b.end_argument - b.first_argument)
    return false;
  for (size_t k = 0; k < count; ++k)
    if (!SameBytes(ArgumentAt(a.first_argument + k), other.ArgumentAt(b.first_argument + k)))
      return false;
  return true;
}

}  // namespace alignlab::cuda
