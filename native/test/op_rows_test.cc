// Embed, Norm, Convert, GatherRows, ScatterAddRows and their backwards against native/reference.
#include "reference/embed.h"
#include "reference/norm.h"
#include "reference/rows.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Shape {
  int64_t rows, cols, gap;
};
// Tails of every kind, no row, one row, strides above the width, long rows, several tasks (the last
// two).
constexpr Shape kShapes[] = {{0, 16, 0},  {1, 1, 0},    {1, 64, 0},   {3, 5, 2},    {4, 33, 3},
                             {2, 100, 0}, {3, 2500, 4}, {2, 4101, 0}, {70, 576, 0}, {200, 260, 7}};

std::string Label(const Shape& s) {
  return std::to_string(s.rows) + "x" + std::to_string(s.cols) + "+" + std::to_string(s.gap);
}

std::vector<int32_t> Ids(int64_t count, int64_t below, Random& random) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = int32_t(random.Below(below));
  return ids;
}

void TestEmbed(const Backend& backend) {
  constexpr int64_t kVocabulary = 37;  // a last panel that is not full; ids repeat
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (bool panels : {true, false})
        for (bool accumulate : {false, true}) {
          const Context context(std::string("embed ") + Name(dtype) + " " + Label(shape));
          Random random(1);
          const OwnedWeight table(dtype, kVocabulary, shape.cols, random, 1,
                                  panels ? reference::panel_width : 1);
          const auto ids = Ids(shape.rows, kVocabulary, random);
          Matrix out(DType::kF32, shape.rows, shape.cols, shape.gap);
          if (accumulate) out = Matrix(DType::kF32, shape.rows, shape.cols, shape.gap, random);
          Matrix expected = out;
          EmbedArgs args{ids.data(), shape.rows, table.weight(), panels, accumulate, out.tensor()};
          backend.ops.embed(backend.device, args);
          args.out = expected.tensor();
          reference::Embed(args);
          // One addition of two f32 values: rounded the same way in both.
          EXPECT(out == expected);
        }
}

void TestEmbedBackward(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (bool panels : {true, false}) {
      const Context context("embed_backward " + Label(shape));
      Random random(2);
      const auto ids = Ids(shape.rows, 37, random);
      const Matrix d_out(DType::kF32, shape.rows, shape.cols, shape.gap, random);
      OwnedWeight d_table(DType::kF32, 37, shape.cols, random, 1,
                          panels ? reference::panel_width : 1);
      OwnedWeight expected = d_table;
      EmbedBackwardArgs args{ids.data(), shape.rows, d_out.tensor(), d_table.weight(), panels};
      backend.ops.embed_backward(backend.device, args);
      args.d_table = expected.weight();
      reference::EmbedBackward(args);
      // Ascending rows are the definition, so the f32 sums agree bit for bit.
      EXPECT(d_table == expected);
    }
}

struct NormCase {
  Matrix x, y, d_y, d_x;
  std::vector<float> weight, bias, stats, d_weight, d_bias;
  NormKind kind;

  NormCase(NormKind kind, DType dtype, const Shape& s, uint64_t seed)
      : x(DType::kF32, s.rows, s.cols, s.gap),
        y(dtype, s.rows, s.cols, s.gap),
        d_y(DType::kF32, s.rows, s.cols, s.gap),
        d_x(DType::kF32, s.rows, s.cols, s.gap),
        stats(size_t(2 * s.rows)),
        kind(kind) {
    Random random(seed);
    x = Matrix(DType::kF32, s.rows, s.cols, s.gap, random, 3);
    for (int64_t r = 0; r < s.rows; ++r)  // rows of different size and mean
      for (int64_t c = 0; c < s.cols; ++c) x.Set(r, c, x.Get(r, c) * double(1 + r % 3) + 0.5);
    d_y = Matrix(DType::kF32, s.rows, s.cols, s.gap, random);
    d_x = Matrix(DType::kF32, s.rows, s.cols, s.gap, random);
    weight = random.Normals(s.cols, 0.3, 1);
    bias = random.Normals(s.cols);
    d_weight = random.Normals(s.cols);
    d_bias = random.Normals(s.cols);
  }
  bool layer() const { return kind == NormKind::kLayer; }
  NormArgs Forward() {
    return {kind,  x.tensor(), weight.data(), layer() ? bias.data() : nullptr,
            1e-5f, y.tensor(), stats.data()};
  }
  NormBackwardArgs Backward() {
    return {kind,         d_y.tensor(), x.tensor(),      weight.data(),
            stats.data(), d_x.tensor(), d_weight.data(), layer() ? d_bias.data() : nullptr};
  }
};

void TestNorm(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
        const Context context(std::string(kind == NormKind::kRms ? "rms " : "layer ") +
                              Name(dtype) + " " + Label(shape));
        NormCase actual(kind, dtype, shape, 3), expected(kind, dtype, shape, 3);
        backend.ops.norm(backend.device, actual.Forward());
        reference::Norm(expected.Forward());
        // Means of up to 4101 f32 terms in a tree, then three roundings. Of one column about its
        // own mean nothing is left but noise times 1 / sqrt(eps), which is why 1e-5 stands here.
        ExpectClose("y", actual.y, expected.y, For(dtype, {1e-5, 1e-6}));
        ExpectClose("stats", actual.stats, expected.stats, {1e-6, 1e-6});

        actual.stats = expected.stats;  // both go back from the same forward pass
        backend.ops.norm_backward(backend.device, actual.Backward());
        reference::NormBackward(expected.Backward());
        // rstd reaches 1 / sqrt(1e-5) = 316 for one column; elsewhere it is below 1.
        ExpectClose("d_x", actual.d_x, expected.d_x, {shape.cols == 1 ? 1e-3 : 3e-6, 1e-6});
        // Sums of 200 products of size 3: 200 * 3 * 2^-24 at worst.
        ExpectClose("d_weight", actual.d_weight, expected.d_weight, {4e-5, 1e-6});
        ExpectClose("d_bias", actual.d_bias, expected.d_bias, {2e-5, 1e-6});
      }
}

// A row's result is the same alone and in the batch, with and without stats.
void TestNormRowsAlone(const Backend& backend) {
  for (DType dtype : kComputeTypes)
    for (NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
      NormCase batch(kind, dtype, {90, 200, 3}, 4);
      NormCase alone(kind, dtype, {90, 200, 3}, 4);
      backend.ops.norm(backend.device, batch.Forward());
      NormBackwardArgs backward = batch.Backward();
      backward.d_weight = backward.d_bias = nullptr;
      backend.ops.norm_backward(backend.device, backward);
      for (int64_t r = 89; r >= 0; --r) {
        NormArgs one = alone.Forward();
        one.x = alone.x.Slice(r, 1);
        one.y = alone.y.Slice(r, 1);
        one.stats = nullptr;
        backend.ops.norm(backend.device, one);
        NormBackwardArgs back = alone.Backward();
        back.x = one.x;
        back.d_y = alone.d_y.Slice(r, 1);
        back.d_x = alone.d_x.Slice(r, 1);
        back.stats = batch.stats.data() + 2 * r;
        back.d_weight = back.d_bias = nullptr;
        backend.ops.norm_backward(backend.device, back);
      }
      EXPECT(alone.y == batch.y);
      EXPECT(alone.d_x == batch.d_x);
    }
}

// Nor does it matter where rows lie: those without gaps can be read in larger pieces.
void TestNormPlaces(const Backend& backend) {
  for (DType dtype : kComputeTypes)
    for (NormKind kind : {NormKind::kRms, NormKind::kLayer})
      for (int64_t cols : {200, 2500}) {
        NormCase together(kind, dtype, {9, cols, 0}, 8), apart(kind, dtype, {9, cols, 3}, 8);
        for (NormCase* c : {&together, &apart}) {
          backend.ops.norm(backend.device, c->Forward());
          backend.ops.norm_backward(backend.device, c->Backward());
        }
        bool same = true;
        for (int64_t r = 0; r < 9; ++r)
          for (int64_t c = 0; c < cols; ++c)
            same = same && together.y.Get(r, c) == apart.y.Get(r, c) &&
                   together.d_x.Get(r, c) == apart.d_x.Get(r, c);
        EXPECT(same);
        EXPECT(SameBits(together.stats, apart.stats));
        EXPECT(SameBits(together.d_weight, apart.d_weight));
      }
}

void TestMoves(const Backend& backend) {
  for (const Shape& shape : kShapes) {
    const Context context("moves " + Label(shape));
    Random random(5);
    for (DType from : kComputeTypes)
      for (DType to : kComputeTypes) {
        Matrix src(from, shape.rows, shape.cols, shape.gap, random);
        if (shape.rows > 2) {  // exact ties, both ways; the ends of the range
          const double special[] = {1 + 0x1p-8, 1 + 3 * 0x1p-8, INFINITY, -0.0, 3.4e38};
          for (int64_t i = 0; i < 5 && i < shape.cols; ++i) src.Set(2, i, special[i]);
        }
        Matrix dst(to, shape.rows, shape.cols, 1), expected = dst;
        backend.ops.convert(backend.device, src.tensor(), dst.tensor());
        reference::Convert(src.tensor(), expected.tensor());
        EXPECT(dst == expected);
      }
    const Matrix src(DType::kF32, shape.rows, shape.cols, shape.gap, random);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < shape.rows; ++i) rows.push_back(random.Below(shape.rows));
    Matrix dst(DType::kF32, shape.rows, shape.cols, 2, random), expected = dst;
    backend.ops.scatter_add_rows(backend.device, src.tensor(), rows.data(), dst.tensor());
    reference::ScatterAddRows(src.tensor(), rows.data(), expected.tensor());
    EXPECT(dst == expected);
    backend.ops.gather_rows(backend.device, src.tensor(), rows.data(), dst.tensor());
    reference::GatherRows(src.tensor(), rows.data(), expected.tensor());
    EXPECT(dst == expected);
  }
}

// NaN survives the way to bf16, whatever its lower bits say.
void TestNotANumber(const Backend& backend) {
  Matrix src(DType::kF32, 1, 19), dst(DType::kBF16, 1, 19);
  const uint32_t low_bits = 0x7f800001;
  for (int64_t c = 0; c < 19; ++c) std::memcpy(src.tensor().f32() + c, &low_bits, 4);
  backend.ops.convert(backend.device, src.tensor(), dst.tensor());
  for (int64_t c = 0; c < 19; ++c) EXPECT(std::isnan(dst.Get(0, c)));
}

void TestThreads() {
  const Shape shape{300, 260, 0};
  const auto norm = [&](const Backend& backend) {
    NormCase c(NormKind::kLayer, DType::kF32, shape, 6);
    backend.ops.norm(backend.device, c.Forward());
    backend.ops.norm_backward(backend.device, c.Backward());
    return std::tuple(c.y.bytes(), c.d_x.bytes(), c.d_weight, c.d_bias);
  };
  ExpectSameOnThreads("norm and its backward", norm);
  ExpectSameInAnyOrder("norm and its backward", norm);
  const auto additions = [&](const Backend& backend) {
    Random random(7);
    const auto ids = Ids(shape.rows, 20, random);
    const Matrix d_out(DType::kF32, shape.rows, shape.cols, 0, random);
    OwnedWeight d_table(DType::kF32, 20, shape.cols);
    backend.ops.embed_backward(backend.device,
                               {ids.data(), shape.rows, d_out.tensor(), d_table.weight(), true});
    const std::vector<int64_t> rows(ids.begin(), ids.end());
    Matrix sum(DType::kF32, 20, shape.cols);
    sum.Fill(0);
    backend.ops.scatter_add_rows(backend.device, d_out.tensor(), rows.data(), sum.tensor());
    return std::tuple(d_table.bytes(), sum.bytes());
  };
  ExpectSameOnThreads("embed backward and scatter", additions);
  ExpectSameInAnyOrder("embed backward and scatter", additions);
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestEmbed(backend);
    TestEmbedBackward(backend);
    TestNorm(backend);
    TestNormRowsAlone(backend);
    TestNormPlaces(backend);
    TestMoves(backend);
    TestNotANumber(backend);
  });
  TestThreads();
  return Report();
}
