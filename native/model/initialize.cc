#include "model/initialize.h"

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

}  // namespace

void Initialize(Model& model, uint64_t seed, float deviation) {
  Parameters& p = model.parameters();
  const int64_t panel = model.backend().panel;
  for (size_t i = 0; i < p.slots().size(); ++i) {
    const Slot& slot = p.slots()[i];
    Slot placed = slot;
    placed.offset = 0;
    Buffer values(size_t(slot.elements) * 4, "initialising " + slot.name);
    float* flat = values.f32();
    for (int64_t row = 0; row < slot.rows; ++row)
      for (int64_t col = 0; col < slot.cols; ++col)
        flat[placed.Index(row, col, panel)] =
            slot.kind != SlotKind::kVector ? deviation * Normal(seed, i, row * slot.cols + col)
                                           : (EndsWith(slot.name, "bias") ? 0.0f : 1.0f);
    p.Write(slot, values.f32());
  }
  model.WeightsChanged();
}

}  // namespace alignlab
