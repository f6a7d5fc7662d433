#include "control/replay.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace alignlab {

void Replay::Reserve(int64_t wanted) {
  const int64_t held = int64_t(rows_.bytes() / BytesOf(1));
  if (wanted <= held) return;
  const int64_t rows = std::min(std::max(held * 2, wanted), capacity_);
  Buffer grown(backend_, BytesOf(rows), what_);
  if (size_ > 0) backend_.memory.copy(backend_.device, grown.data(), rows_.data(), BytesOf(size_));
  rows_ = std::move(grown);
}

void Replay::Append(const float* rows, int64_t count) {
  Reserve(std::min(size_ + count, capacity_));
  while (count > 0) {
    const int64_t n = std::min(count, capacity_ - position_);
    backend_.memory.copy_in(backend_.device, rows_.f32() + position_ * shape_.width(), rows,
                            BytesOf(n));
    position_ = (position_ + n) % capacity_;
    size_ = std::min(size_ + n, capacity_);
    rows += n * shape_.width();
    count -= n;
  }
}

void Replay::Read(int64_t first, int64_t count, float* to) const {
  while (count > 0) {
    const int64_t begin = (oldest() + first) % capacity_, n = std::min(count, capacity_ - begin);
    backend_.memory.copy_out(backend_.device, to, rows_.f32() + begin * shape_.width(), BytesOf(n));
    to += n * shape_.width();
    first += n;
    count -= n;
  }
}

void Replay::CopyOut(float* rows) const {
  if (size_ > 0) backend_.memory.copy_out(backend_.device, rows, rows_.data(), BytesOf(size_));
}

void Replay::Restore(int64_t size, int64_t position, const float* rows) {
  Check(size >= 0 && size <= capacity_ && position >= 0 && position < capacity_, "replay state");
  size_ = 0;  // what is held need not be kept
  Reserve(size);
  if (size > 0) backend_.memory.copy_in(backend_.device, rows_.data(), rows, BytesOf(size));
  size_ = size;
  position_ = position;
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
  constexpr int64_t kPiece = 1024;  // rows that are copied at a time
  std::vector<float> piece(size_t(std::min(kPiece, real.size()) * shape.width()));
  for (int64_t r = 0; r < real.size(); ++r) {
    if (r % kPiece == 0) real.Read(r, std::min(kPiece, real.size() - r), piece.data());
    const float* row = piece.data() + r % kPiece * shape.width();
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
