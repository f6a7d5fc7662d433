// Split bf16 weights: SplitWeights, JoinWeights and AdamWSplit.
#include "reference/split_weight.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Shape {
  int64_t rows, cols;
  bool panels;
};
// One of everything, odd columns, rows across panels; tables whose last unit is cut short.
constexpr Shape kShapes[] = {{1, 1, true},  {16, 2, true},  {33, 15, true}, {100, 301, true},
                             {1, 1, false}, {3, 11, false}, {7, 64, false}, {70, 1000, false}};

struct SplitCase {
  SplitCase(const Shape& shape, bool with_low) {
    const int64_t packed =
        shape.panels ? WeightElements(DType::kBF16, shape.rows, shape.cols, reference::panel_width)
                     : shape.rows * shape.cols;
    const int64_t plain =
        shape.panels ? WeightElements(DType::kF32, shape.rows, shape.cols, reference::panel_width)
                     : shape.rows * shape.cols;
    high.resize(size_t(packed));
    low.resize(size_t(packed));
    flat.resize(size_t(plain));
    weight = {high.data(), with_low ? low.data() : nullptr, shape.rows, shape.cols, shape.panels};
  }
  // Values whose low halves are random; among them ties of the rounding, both ways.
  void Fill(Random& random) {
    for (int64_t r = 0; r < weight.rows; ++r)
      for (int64_t c = 0; c < weight.cols; ++c) {
        uint32_t bits = 0x3f000000u + uint32_t(random.Below(1 << 24));
        if (random.Below(4) == 0) bits = (bits & 0xffff0000u) | 0x8000u;
        if (random.Below(2) == 0) bits |= 0x80000000u;
        std::memcpy(&flat[size_t(reference::FlatIndex(weight, r, c, reference::panel_width))],
                    &bits, 4);
      }
  }

  std::vector<uint16_t> high, low;
  std::vector<float> flat;
  SplitWeight weight;
};

void TestRoundTrip(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (bool with_low : {true, false}) {
      const Context context("split " + std::to_string(shape.rows) + "x" +
                            std::to_string(shape.cols));
      Random random(31);
      SplitCase actual(shape, with_low), expected(shape, with_low);
      actual.Fill(random);
      backend.ops.split_weights(backend.device, actual.flat.data(), actual.weight);
      reference::SplitWeights(actual.flat.data(), expected.weight);
      EXPECT(actual.high == expected.high);
      EXPECT(actual.low == expected.low);
      std::vector<float> joined(actual.flat.size()), expected_joined(actual.flat.size());
      backend.ops.join_weights(backend.device, actual.weight, joined.data());
      reference::JoinWeights(expected.weight, expected_joined.data());
      EXPECT(joined == expected_joined);
      if (with_low) EXPECT(joined == actual.flat);  // nothing is lost
    }
}

// The same bits as AdamW on the floats, then split.
void TestAdamW(const Backend& backend) {
  for (const Shape& shape : kShapes) {
    const Context context("adamw " + std::to_string(shape.rows) + "x" + std::to_string(shape.cols));
    Random random(32);
    SplitCase split(shape, true), plain(shape, true);
    split.Fill(random);
    plain.flat = split.flat;
    backend.ops.split_weights(backend.device, split.flat.data(), split.weight);
    const int64_t n = int64_t(split.flat.size());
    std::vector<float> g(split.flat.size());
    for (int64_t r = 0; r < shape.rows; ++r)
      for (int64_t c = 0; c < shape.cols; ++c)
        g[size_t(reference::FlatIndex(split.weight, r, c, reference::panel_width))] =
            float(random.Normal());
    std::vector<float> m(g.size()), v(g.size()), m_plain = m, v_plain = v;
    for (int step = 1; step <= 3; ++step) {
      std::vector<float> g_split = g, g_plain = g;
      AdamWArgs args{nullptr,
                     g_split.data(),
                     m.data(),
                     v.data(),
                     n,
                     1e-2f,
                     0.9f,
                     0.99f,
                     1e-8f,
                     0.1f,
                     0.5f,
                     1 - std::pow(0.9f, float(step)),
                     1 - std::pow(0.99f, float(step))};
      backend.ops.adamw_split(backend.device, args, split.weight);
      args.w = plain.flat.data();
      args.g = g_plain.data();
      args.m = m_plain.data();
      args.v = v_plain.data();
      backend.ops.adamw(backend.device, args);
      EXPECT(g_split == std::vector<float>(g.size()) && g_plain == g_split);
    }
    reference::SplitWeights(plain.flat.data(), plain.weight);
    EXPECT(m == m_plain);
    EXPECT(v == v_plain);
    EXPECT(split.high == plain.high);
    EXPECT(split.low == plain.low);
  }
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestRoundTrip(backend);
    TestAdamW(backend);
  });
  return Report();
}
