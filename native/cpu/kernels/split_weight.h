// bf16 weights and their f32 masters in four bytes: the bf16 form that the products read, and the
// 16 bits that it leaves over (SplitWeight in backend.h). Rounding is to nearest with ties away
// from zero, for which the difference always fits into a signed 16-bit number.
#pragma once

#include "backend/backend.h"
#include "cpu/kernels/parallel.h"
#include "cpu/kernels/simd.h"

namespace alignlab {
namespace {

constexpr int kUnit = 2 * kLanes;  // weights handled at once: two rows of a panel

// Where a unit's 32 values lie: in panels the two rows are interleaved, in tables they follow one
// another, and the last unit may be cut short.
struct SplitUnit {
  uint16_t* high;
  uint16_t* low;  // null: nothing is left over
  bool interleaved;
  int values;  // of the table's last unit; kUnit else

  // A constant size is one vector move, any other a call.
  void CopyValues(uint16_t* to, const uint16_t* from) const {
    if (values == kUnit)
      std::memcpy(to, from, kUnit * 2);
    else
      std::memcpy(to, from, size_t(values) * 2);
  }
  void Load16(const uint16_t* from, uint32_t first[kLanes], uint32_t second[kLanes]) const {
    uint16_t raw[kUnit] = {};
    CopyValues(raw, from);
    if (interleaved) {
      uint32_t pair[kLanes];
      std::memcpy(pair, raw, sizeof pair);
      for (int i = 0; i < kLanes; ++i) first[i] = pair[i] & 0xffff;
      for (int i = 0; i < kLanes; ++i) second[i] = pair[i] >> 16;
    } else {
      for (int i = 0; i < kLanes; ++i) first[i] = raw[i];
      for (int i = 0; i < kLanes; ++i) second[i] = raw[kLanes + i];
    }
  }
  void Store16(uint16_t* to, const uint32_t first[kLanes], const uint32_t second[kLanes]) const {
    uint16_t raw[kUnit];
    if (interleaved) {
      uint32_t pair[kLanes];
      for (int i = 0; i < kLanes; ++i) pair[i] = (first[i] & 0xffff) | second[i] << 16;
      std::memcpy(raw, pair, sizeof raw);
    } else {
      for (int i = 0; i < kLanes; ++i) raw[i] = uint16_t(first[i]);
      for (int i = 0; i < kLanes; ++i) raw[kLanes + i] = uint16_t(second[i]);
    }
    CopyValues(to, raw);
  }

  // The masters: bits = (high << 16) + signed low.
  void Join(Vec w[2]) const {
    uint32_t bits[2][kLanes], rest[2][kLanes] = {};
    Load16(high, bits[0], bits[1]);
    if (low) Load16(low, rest[0], rest[1]);
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < kLanes; ++i)
        bits[half][i] = (bits[half][i] << 16) + uint32_t(int32_t(rest[half][i] << 16) >> 16);
      std::memcpy(&w[half], bits[half], sizeof w[half]);
    }
  }
  void Split(const Vec w[2]) const {
    uint32_t top[2][kLanes], rest[2][kLanes];
    for (int half = 0; half < 2; ++half) {
      uint32_t bits[kLanes];
      std::memcpy(bits, &w[half], sizeof bits);
      for (int i = 0; i < kLanes; ++i) {
        top[half][i] = (bits[i] + 0x8000) >> 16;
        rest[half][i] = bits[i] - (top[half][i] << 16);
      }
    }
    Store16(high, top[0], top[1]);
    if (low) Store16(low, rest[0], rest[1]);
  }
};

// Calls body(place in the flat f32 layout, values there, unit) for every unit, in parallel.
template <class Body>
inline void ForSplitUnits(void* device, const SplitWeight& w, const Body& body) {
  const auto unit_at = [&](int64_t packed, int values) {
    return SplitUnit{w.high + packed, w.low ? w.low + packed : nullptr, w.panels, values};
  };
  if (w.panels) {
    const int64_t in = w.cols, pairs = (in + 1) / 2;
    ParallelFor(device, (w.rows + kLanes - 1) / kLanes, [&](int64_t p, Worker&) {
      for (int64_t i = 0; i < pairs; ++i)
        body((p * in + 2 * i) * kLanes, 2 * i + 1 < in ? kUnit : kLanes,
             unit_at((p * pairs + i) * kUnit, kUnit));
    });
    return;
  }
  constexpr int64_t kUnitsPerTask = 1024;
  const int64_t count = w.rows * w.cols, step = kUnitsPerTask * kUnit;
  ParallelFor(device, (count + step - 1) / step, [&](int64_t task, Worker&) {
    const int64_t end = task * step + step < count ? task * step + step : count;
    for (int64_t at = task * step; at < end; at += kUnit) {
      const int values = int(end - at < kUnit ? end - at : kUnit);
      body(at, values, unit_at(at, values));
    }
  });
}

inline void SplitWeights(void* device, const float* flat, SplitWeight to) {
  ForSplitUnits(device, to, [&](int64_t at, int64_t n, const SplitUnit& unit) {
    const Vec w[2] = {LoadPartial(flat + at, int(n)),
                      n > kLanes ? LoadPartial(flat + at + kLanes, int(n - kLanes)) : Zero()};
    unit.Split(w);
  });
}

inline void JoinWeights(void* device, SplitWeight from, float* flat) {
  ForSplitUnits(device, from, [&](int64_t at, int64_t n, const SplitUnit& unit) {
    Vec w[2];
    unit.Join(w);
    StorePartial(flat + at, w[0], int(n));
    if (n > kLanes) StorePartial(flat + at + kLanes, w[1], int(n - kLanes));
  });
}

}  // namespace
}  // namespace alignlab
