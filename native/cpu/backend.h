// The CPU as a backend: a pool of threads and the table for the chosen instruction set.
#pragma once

#include "backend/backend.h"
#include "cpu/pool.h"

namespace alignlab {

class CpuBackend {
 public:
  // `isa` as in SelectInstructionSet. Throws Error("ISA_UNSUPPORTED").
  explicit CpuBackend(int threads, const char* isa = nullptr);
  CpuBackend(const CpuBackend&) = delete;  // the table points at the pool
  CpuBackend& operator=(const CpuBackend&) = delete;

  const Backend& table() const { return table_; }
  Pool& pool() { return pool_; }

 private:
  Pool pool_;
  Backend table_;
};

}  // namespace alignlab
