// StepGraph as a CUDA graph: a chain of nodes for each branch, in the order of the step.
#include <cuda_runtime.h>

#include <unordered_map>

#include "cuda/graph.h"
#include "error.h"

namespace alignlab::cuda {

struct StepGraph::Native {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  std::vector<cudaGraphNode_t> nodes;

  ~Native() { Release(); }
  void Release() {
    if (executable) cudaGraphExecDestroy(executable);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
    executable = nullptr;
    graph = nullptr;
    nodes.clear();
  }
};

namespace {

// What a call of CUDA reads the arguments of a kernel by.
class Addresses {
 public:
  Addresses(const Step& step, size_t i) {
    for (const Step::Argument& argument : step.ArgumentsOf(i))
      of_.push_back(const_cast<std::byte*>(argument.data()));
  }
  void** data() { return of_.data(); }

 private:
  std::vector<void*> of_;
};

dim3 DimensionsOf(const GridSize& grid) {
  return dim3(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z));
}

cudaKernelNodeParams KernelOf(const StepNode& node, Addresses& arguments) {
  cudaKernelNodeParams kernel{};
  kernel.func = const_cast<void*>(node.kernel);
  kernel.gridDim = DimensionsOf(node.grid);
  kernel.blockDim = dim3(unsigned(node.threads));
  kernel.sharedMemBytes = unsigned(node.shared);
  kernel.kernelParams = arguments.data();
  return kernel;
}

cudaMemsetParams ZeroOf(const StepNode& node) {
  cudaMemsetParams zero{};
  zero.dst = node.to;
  zero.elementSize = 1;
  zero.width = node.bytes;
  zero.height = 1;
  return zero;
}

// Adds the next node, behind `last` of its branch, which it becomes; null in an empty branch.
cudaError_t AddNode(cudaGraph_t graph, const Step& step, std::vector<cudaGraphNode_t>& nodes,
                    cudaGraphNode_t& last) {
  const StepNode& node = step.nodes()[nodes.size()];
  const cudaGraphNode_t* before = &last;
  const size_t count = last ? 1 : 0;
  cudaGraphNode_t added = nullptr;
  cudaError_t error = cudaSuccess;
  switch (node.kind) {
    case StepNode::Kind::kKernel: {
      Addresses arguments(step, nodes.size());
      const cudaKernelNodeParams kernel = KernelOf(node, arguments);
      error = cudaGraphAddKernelNode(&added, graph, before, count, &kernel);
      break;
    }
    case StepNode::Kind::kCopy:
      error = cudaGraphAddMemcpyNode1D(&added, graph, before, count, node.to, node.from, node.bytes,
                                       cudaMemcpyDefault);
      break;
    case StepNode::Kind::kZero: {
      const cudaMemsetParams zero = ZeroOf(node);
      error = cudaGraphAddMemsetNode(&added, graph, before, count, &zero);
      break;
    }
  }
  if (error == cudaSuccess) nodes.push_back(last = added);
  return error;
}

}  // namespace

StepGraph::StepGraph(Runtime& runtime) : runtime_(runtime), native_(std::make_unique<Native>()) {}
StepGraph::~StepGraph() = default;

void StepGraph::Make(const Step& step) {
  const auto require = [&](cudaError_t error) {
    if (error == cudaSuccess) return;
    native_->Release();
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw Error("OUT_OF_MEMORY",
                  "The GPU has no memory left for the graph of a step. Generate fewer sequences "
                  "at once (maxBatch), train fewer seeds at once, or dispose models that are not "
                  "needed.");
    }
    runtime_.Check(error, "make the graph of a step");
  };
  native_->Release();
  require(cudaGraphCreate(&native_->graph, 0));
  std::unordered_map<int32_t, cudaGraphNode_t> last;
  for (const StepNode& node : step.nodes())
    require(AddNode(native_->graph, step, native_->nodes, last[node.branch]));
  require(cudaGraphInstantiate(&native_->executable, native_->graph, 0));
}

bool StepGraph::Change(const Step& step, size_t i) {
  const StepNode& node = step.nodes()[i];
  cudaGraphExec_t graph = native_->executable;
  cudaGraphNode_t at = native_->nodes[i];
  cudaError_t error = cudaSuccess;
  switch (node.kind) {
    case StepNode::Kind::kKernel: {
      Addresses arguments(step, i);
      const cudaKernelNodeParams kernel = KernelOf(node, arguments);
      error = cudaGraphExecKernelNodeSetParams(graph, at, &kernel);
      break;
    }
    case StepNode::Kind::kCopy:
      error = cudaGraphExecMemcpyNodeSetParams1D(graph, at, node.to, node.from, node.bytes,
                                                 cudaMemcpyDefault);
      break;
    case StepNode::Kind::kZero: {
      const cudaMemsetParams zero = ZeroOf(node);
      error = cudaGraphExecMemsetNodeSetParams(graph, at, &zero);
      break;
    }
  }
  cudaGetLastError();  // a change that is refused is no failure: the graph is made anew
  return error == cudaSuccess;
}

void StepGraph::Start() {
  runtime_.Check(cudaGraphLaunch(native_->executable, static_cast<cudaStream_t>(runtime_.stream())),
                 "start a step");
}

}  // namespace alignlab::cuda
