#include "model/initialize.h"

#include <algorithm>
#include <cmath>

#include "backend/philox.h"

namespace alignlab {

namespace {

// Box-Muller; 1 - u keeps the logarithm's argument above zero.
float Normal(uint64_t seed, uint64_t slot, int64_t index) {
  const PhiloxBlock first =
      RandomWords(seed, RandomPurpose::kInitialisation, (slot << 32) | uint64_t(index >> 31),
                  uint32_t(index & 0x7fffffff));
  const double u = (double(first.word[0]) + 0.5) * 0x1p-32;
  const double angle = double(first.word[1]) * 0x1p-32 * 2 * M_PI;
  return float(std::sqrt(-2 * std::log(u)) * std::cos(angle));
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

constexpr int64_t kPiece = 1 << 14;  // values of one task: a millisecond

// The values of a slot in the flat layout; padding stays zero.
void Draw(const Slot& slot, uint64_t seed, uint64_t index, float deviation, int64_t panel,
          Lanes& lanes, float* flat) {
  const int64_t count = slot.rows * slot.cols;
  lanes.Each((count + kPiece - 1) / kPiece, [&](int64_t piece, int) {
    const int64_t begin = piece * kPiece, end = std::min(begin + kPiece, count);
    for (int64_t at = begin; at < end; ++at)
      flat[slot.Index(at / slot.cols, at % slot.cols, panel)] = deviation * Normal(seed, index, at);
  });
}

}  // namespace

void Initialize(Model& model, uint64_t seed, float deviation, Lanes& lanes,
                const CancelToken& cancel) {
  Parameters& p = model.parameters();
  for (size_t i = 0; i < p.slots().size(); ++i) {
    cancel.ThrowIfCancelled();
    const Slot& slot = p.slots()[i];
    Buffer values(size_t(slot.elements) * 4, "initialising " + slot.name);
    float* flat = values.f32();
    if (slot.kind == SlotKind::kVector) {
      std::fill_n(flat, slot.elements, EndsWith(slot.name, "bias") ? 0.0f : 1.0f);
    } else {
      Slot placed = slot;
      placed.offset = 0;
      Draw(placed, seed, i, deviation, model.backend().panel, lanes, flat);
    }
    p.Write(slot, flat);
  }
  model.WeightsChanged();
}

}  // namespace alignlab
