#include "control/replay.h"

#include <cmath>
#include <cstring>

#include "error.h"

namespace alignlab {

const float* Replay::row(int64_t age) const {
  const int64_t oldest = size_ < capacity_ ? 0 : position_;
  return rows_.f32() + (oldest + age) % capacity_ * shape_.width();
}

void Replay::Reserve(int64_t count) {
  const int64_t width = shape_.width();
  const int64_t wanted = size_ + count < capacity_ ? size_ + count : capacity_;
  const int64_t held = int64_t(rows_.bytes()) / (4 * width);
  if (wanted <= held) return;
  int64_t rows = held * 2 > wanted ? held * 2 : wanted;
  if (rows > capacity_) rows = capacity_;
  Buffer grown(size_t(rows * width) * 4, what_);
  if (size_ > 0) std::memcpy(grown.data(), rows_.data(), size_t(size_ * width) * 4);
  rows_ = std::move(grown);
}

float* Replay::Next() {
  float* row = rows_.f32() + position_ * shape_.width();
  position_ = (position_ + 1) % capacity_;
  if (size_ < capacity_) ++size_;
  return row;
}

float* Replay::Restore(int64_t size, int64_t position) {
  Check(size >= 0 && size <= capacity_ && position >= 0 && position < capacity_, "replay state");
  size_ = 0;
  Reserve(size);
  size_ = size;
  position_ = position;
  return rows_.f32();
}

namespace {

struct Moments {
  double sum = 0, squares = 0;
  void Add(double x) {
    sum += x;
    squares += x * x;
  }
  double Mean(double n) const { return sum / n; }
  double Deviation(double n) const {
    const double variance = squares / n - Mean(n) * Mean(n);
    return variance > 0 ? std::sqrt(variance) : 0;
  }
};

constexpr double kFloor = 1e-3;
constexpr double kEmptyRatio = 10;  // the released code's empty simulator rows, per real row

}  // namespace

TransitionStatistics MeasureTransitions(const Replay& real, NextSpread spread, bool normalize) {
  const TransitionShape& shape = real.shape();
  const int64_t inputs = 2 * shape.state + shape.action;
  std::vector<Moments> columns(size_t(shape.state + shape.action)), moves(size_t(shape.state));
  for (int64_t r = 0; r < real.size(); ++r) {
    const float* row = real.row(r);
    for (size_t c = 0; c < columns.size(); ++c) columns[c].Add(row[c]);
    for (int64_t c = 0; c < shape.state; ++c)
      moves[size_t(c)].Add(double(row[shape.next() + c]) - row[c]);
  }
  const double n = double(real.size());
  TransitionStatistics out;
  for (int64_t c = 0; c < shape.state; ++c) {
    const Moments &state = columns[size_t(c)], &move = moves[size_t(c)];
    const double deviation = spread == NextSpread::kPaperCode
                                 ? state.Deviation(n * (1 + kEmptyRatio))
                             : spread == NextSpread::kData ? state.Deviation(n)
                                                           : move.Deviation(n);
    out.next_spread.push_back(float(deviation + kFloor));
  }
  for (int64_t c = 0; c < inputs; ++c) {
    const Moments& m = columns[size_t(c < shape.next() ? c : c - shape.next())];
    out.shift.push_back(normalize ? float(m.Mean(n)) : 0.0f);
    out.scale.push_back(normalize ? float(1 / (m.Deviation(n) + kFloor)) : 1.0f);
  }
  return out;
}

}  // namespace alignlab
