// A decoding step, or an update of learners, as one thing. What its operations would have started
// one by one (kernels, copies) is noted here in order, and then started at once, as a CUDA graph
// (graph.h): a step has hundreds of kernels of microseconds each, and starting them singly takes
// longer than running them.
//
// Nothing has run while a step is noted. So what the host's memory holds is copied into room that
// stays (Device::Stage), and what the host is to read is delivered when the step has run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace alignlab::cuda {

struct GridSize {
  int64_t x, y = 1, z = 1;
};

// Plain values of a kernel's parameters, as bytes. Padding is cleared where the compiler can: it
// would make equal arguments differ.
template <class T>
void CopyArgument(std::byte* to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  T copy = value;
#if defined(__GNUC__) && !defined(__clang__)
  __builtin_clear_padding(&copy);
#endif
  std::memcpy(to, &copy, sizeof copy);
}

// What a kernel that runs for several branches at once (joined.h) is given: the arguments of the
// kernel of each. As many as fit into the 4 KB that a kernel's parameters may have.
constexpr size_t kMostJoined = 8;
template <class Args>
struct Joined {
  Args of[kMostJoined];
};

struct StepNode {
  enum class Kind : uint8_t { kKernel, kCopy, kZero };
  using Call = void(const StepNode&, const std::byte* const* arguments);
  Kind kind;
  int32_t branch;  // nodes of one branch run in order

  // kKernel
  const void* kernel = nullptr;
  Call* call = nullptr;          // emulation only
  const void* joined = nullptr;  // the kernel that takes Joined arguments, if there is one
  Call* call_joined = nullptr;
  GridSize grid{0};
  int threads = 0;
  size_t shared = 0;
  size_t first_argument = 0, end_argument = 0;  // of the step's

  // kCopy: between the device and pinned memory, or on the device; kZero: `from` is not read.
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
};

class Step {
 public:
  void Clear(int32_t branches = 1);
  int32_t branches() const { return branches_; }

  // The branch of what is added from here on; 0 at first.
  void Branch(int32_t number) { branch_ = number; }
  int32_t branch() const { return branch_; }
  void AddCopy(void* to, const void* from, size_t bytes);
  void AddZero(void* to, size_t bytes);
  template <class... P>
  void AddKernel(void (*kernel)(P...), GridSize grid, int threads, size_t shared,
                 const P&... arguments);
  // The kernel added last, which takes Args alone, may run with those of other branches: as
  // `kernel`, with its z the place of a branch among them.
  template <class Args>
  void JoinsBy(void (*kernel)(Joined<Args>));

  // Where all branches start the same kernels on the same grids, `joined` becomes a step that does
  // the same by kernels that run for all of them, or for kMostJoined at a time. False otherwise.
  bool Join(Step& joined) const;

  const std::vector<StepNode>& nodes() const { return nodes_; }
  // The arguments of node i; valid until the step changes.
  using Argument = std::span<const std::byte>;
  std::vector<Argument> ArgumentsOf(size_t i) const;

  // Whether node i does the same here and in `other`, which has one of its kind there.
  bool SameNode(const Step& other, size_t i) const;
  // Whether both have nodes of the same kinds on the same branches in the same order: one graph can
  // then do both.
  bool SameShape(const Step& other) const;

 private:
  struct Place {
    size_t at, bytes;
  };
  Argument ArgumentAt(size_t place) const;
  std::byte* AddArgument(size_t bytes, size_t alignment);
  StepNode& Add(StepNode::Kind kind);
  using Branches = std::vector<std::vector<size_t>>;  // numbers of their nodes
  Branches NodesOfBranches() const;
  bool CanJoin(const Branches& branches) const;
  void AddJoined(const Step& from, const Branches& branches, size_t at, size_t begin, size_t end);

  int32_t branch_ = 0, branches_ = 1;
  std::vector<StepNode> nodes_;
  std::vector<Place> places_;
  std::vector<std::byte> bytes_;
};

#if !defined(__CUDACC__)
// Calls the kernel of a node in the emulation (launch.h).
template <class... P>
void CallNode(const StepNode& node, const std::byte* const* arguments);
#endif

template <class... P>
void Step::AddKernel(void (*kernel)(P...), GridSize grid, int threads, size_t shared,
                     const P&... arguments) {
  StepNode& node = Add(StepNode::Kind::kKernel);
  node.kernel = reinterpret_cast<const void*>(kernel);
#if !defined(__CUDACC__)
  node.call = CallNode<P...>;
#endif
  node.grid = grid;
  node.threads = threads;
  node.shared = shared;
  (CopyArgument(AddArgument(sizeof(P), alignof(P)), arguments), ...);
  node.end_argument = places_.size();
}

template <class Args>
void Step::JoinsBy(void (*kernel)(Joined<Args>)) {
  static_assert(sizeof(Joined<Args>) <= 4096);
  nodes_.back().joined = reinterpret_cast<const void*>(kernel);
#if !defined(__CUDACC__)
  nodes_.back().call_joined = CallNode<Joined<Args>>;
#endif
}

}  // namespace alignlab::cuda
