// Moves tensors between files and parameters. Headers are read and written in TypeScript
// (src/checkpoint/); here are checked byte ranges and the map from a file's order to ours.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cancel.h"
#include "model/model.h"

namespace alignlab {

// A tensor of a file, seen row-major as `dims`, and where its elements lie in a slot: element
// (i0, i1, ...) at offset + sum i_k * strides[k] of the slot's logical row-major (rows, cols).
struct TensorRange {
  std::string name;
  std::string path;    // reading: the file
  uint64_t begin = 0;  // reading: first byte in the file
  DType dtype = DType::kF32;
  int32_t slot = 0;
  int64_t offset = 0;
  std::vector<int64_t> dims, strides;

  int64_t elements() const;
};

enum class TensorSet { kWeights, kGradients, kMoment1, kMoment2 };

// Throws IO_FAILED, CHECKPOINT_INVALID (a file shorter than its header says) or NON_FINITE.
void ReadTensors(Model& model, TensorSet set, const std::vector<TensorRange>& ranges,
                 const CancelToken& cancel);
// Writes `header` and then the tensors in order; the file is complete and flushed on return.
void WriteTensors(Model& model, TensorSet set, const std::vector<TensorRange>& ranges,
                  const std::string& path, const std::string& header, const CancelToken& cancel);

}  // namespace alignlab
