// Scratch memory for one pass, planned before it starts: a layout function asks for its pieces
// twice, once to be measured and once to be given addresses in one block.
#pragma once

#include <string>

#include "backend/buffer.h"
#include "backend/tensor.h"

namespace alignlab {

class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}

  template <class T>
  T* Take(int64_t count) {
    void* piece = base_ ? base_ + used_ : nullptr;
    used_ += size_t(RoundUp(count * int64_t(sizeof(T)), 64));
    return static_cast<T*>(piece);
  }
  Tensor Matrix(DType dtype, int64_t rows, int64_t cols) {
    void* piece = dtype == DType::kF32 ? static_cast<void*>(Take<float>(rows * cols))
                                       : static_cast<void*>(Take<uint16_t>(rows * cols));
    return {piece, dtype, rows, cols, cols};
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_ = 0;
};

class Arena {
 public:
  explicit Arena(const Backend& backend) : backend_(backend) {}

  // Makes room for `layout(carver)` and runs it on the room. The block is kept between passes and
  // grows to the largest one; its contents are not cleared.
  template <class Layout>
  void Plan(const Layout& layout, const std::string& what) {
    const size_t bytes = Measure(layout);
    if (bytes > block_.bytes()) {
      block_ = Buffer();  // first give back, so that old and new are not held at once
      block_ = Buffer(backend_, bytes, what);
    }
    Carver carver(block_.data());
    layout(carver);
  }
  template <class Layout>
  static size_t Measure(const Layout& layout) {
    Carver carver(nullptr);
    layout(carver);
    return carver.used();
  }
  size_t bytes() const { return block_.bytes(); }

 private:
  const Backend& backend_;
  Buffer block_;
};

}  // namespace alignlab
