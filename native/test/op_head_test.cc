// Head, HeadBackward, HeadKl and Sample against native/reference.
#include "reference/head.h"
#include "reference/sample.h"
#include "test/harness.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Shape {
  int64_t rows, width, vocabulary;
};
// Vocabularies below a panel, with a tail, of several slabs.
constexpr Shape kShapes[] = {{0, 16, 20}, {1, 8, 1},     {1, 64, 17},   {3, 33, 100},
                             {7, 64, 64}, {40, 48, 5003}, {70, 100, 900}};

std::string Label(DType dtype, const Shape& s) {
  return std::string(Name(dtype)) + " " + std::to_string(s.rows) + "x" + std::to_string(s.width) +
         "->" + std::to_string(s.vocabulary);
}

struct HeadCase {
  Matrix hidden, hidden_q, logits, d_hidden;
  OwnedWeight weight, weight_q, d_weight;
  std::vector<int32_t> targets;
  std::vector<float> logprob, entropy, lse, d_logprob, d_entropy, kl;

  HeadCase(DType dtype, const Shape& s, int64_t gap, uint64_t seed)
      : HeadCase(dtype, s, gap, Random(seed)) {}

  HeadArgs Forward(bool with_logits, bool with_entropy = true) {
    HeadArgs args{hidden.tensor(), weight.weight(), targets.data(), logprob.data(), nullptr,
                  lse.data(),      Tensor{}};
    if (with_entropy) args.entropy = entropy.data();
    if (with_logits) args.logits = logits.tensor();
    return args;
  }
  HeadBackwardArgs Backward(bool with_entropy, bool trained) {
    return {Forward(false), d_logprob.data(), with_entropy ? d_entropy.data() : nullptr,
            d_hidden.tensor(), trained ? d_weight.weight() : Weight{}};
  }
  HeadKlArgs Kl() {
    return {hidden.tensor(), hidden_q.tensor(), weight.weight(), weight_q.weight(), kl.data()};
  }

 private:
  // Logits of size 2: distributions that are neither flat nor certain.
  HeadCase(DType dtype, const Shape& s, int64_t gap, Random random)
      : hidden(dtype, s.rows, s.width, gap, random),
        hidden_q(dtype, s.rows, s.width + 5, gap, random),
        logits(DType::kF32, s.rows, s.vocabulary, gap),
        d_hidden(DType::kF32, s.rows, s.width, gap),
        weight(dtype, s.vocabulary, s.width, random, 2 / std::sqrt(double(s.width))),
        weight_q(dtype, s.vocabulary, s.width + 5, random, 2 / std::sqrt(double(s.width))),
        d_weight(DType::kF32, s.vocabulary, s.width, random),
        logprob(size_t(s.rows)),
        entropy(size_t(s.rows)),
        lse(size_t(s.rows)),
        d_logprob(random.Normals(s.rows)),
        d_entropy(random.Normals(s.rows)),
        kl(size_t(s.rows)) {
    for (int64_t r = 0; r < s.rows; ++r) targets.push_back(int32_t(random.Below(s.vocabulary)));
    if (s.rows > 2) d_logprob[1] = d_entropy[1] = 0;
  }
};

// Logits of size up to 10 from about 100 f32 additions, and sums of exponentials over the
// vocabulary in f32 partial sums: 1e-5 is about 10 units in the last place of a log-probability.
constexpr Tolerance kLogScale = {2e-5, 2e-6};

void TestHead(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (bool with_logits : {false, true}) {
        const Context context("head " + Label(dtype, shape));
        HeadCase actual(dtype, shape, with_logits ? 4 : 0, 31), expected = actual;
        backend.ops.head(backend.device, actual.Forward(with_logits));
        reference::Head(expected.Forward(with_logits));
        ExpectClose("logprob", actual.logprob, expected.logprob, kLogScale);
        ExpectClose("entropy", actual.entropy, expected.entropy, kLogScale);
        ExpectClose("lse", actual.lse, expected.lse, kLogScale);
        if (with_logits) ExpectClose("logits", actual.logits, expected.logits, kLogScale);
      }
}

void TestHeadBackward(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes)
      for (bool with_entropy : {false, true})
        for (bool trained : {false, true}) {
          const Context context("head backward " + Label(dtype, shape));
          HeadCase actual(dtype, shape, 3, 32), expected = actual;
          backend.ops.head(backend.device, actual.Forward(false));
          reference::Head(expected.Forward(false));
          backend.ops.head_backward(backend.device, actual.Backward(with_entropy, trained));
          reference::HeadBackward(expected.Backward(with_entropy, trained));
          // In bf16 dz itself is rounded to bf16 for the matrix product: 2^-9 of each term, and
          // terms of size 2 in all.
          const Tolerance sums = dtype == DType::kF32 ? Tolerance{2e-5, 1e-5}
                                                      : Tolerance{2e-2, kBf16Unit};
          ExpectClose("d_hidden", actual.d_hidden, expected.d_hidden, sums);
          ExpectClose("d_weight", actual.d_weight, expected.d_weight, sums);
          EXPECT(actual.d_weight.PaddingZero());
        }
}

void TestHeadKl(const Backend& backend) {
  for (const Shape& shape : kShapes)
    for (DType dtype : kComputeTypes) {
      const Context context("kl " + Label(dtype, shape));
      HeadCase actual(dtype, shape, 2, 33), expected = actual;
      backend.ops.head_kl(backend.device, actual.Kl());
      reference::HeadKl(expected.Kl());
      ExpectClose("kl", actual.kl, expected.kl, kLogScale);
      HeadKlArgs itself = actual.Kl();
      itself.hidden_q = itself.hidden_p;
      itself.weight_q = itself.weight_p;
      backend.ops.head_kl(backend.device, itself);
      for (float kl : actual.kl) EXPECT(kl == 0);  // equal logits, equal sums: nothing is left
    }
}

// The promise that sampler, scorer and training forward rest on: a row's numbers do not depend on
// its batch, nor on what else is asked for.
void TestRowsAlone(const Backend& backend) {
  const Shape shape{40, 100, 3001};
  for (DType dtype : kComputeTypes) {
    const Context context("alone " + Label(dtype, shape));
    HeadCase batch(dtype, shape, 0, 34), alone = batch, bare = batch;
    backend.ops.head(backend.device, batch.Forward(false));
    backend.ops.head(backend.device, bare.Forward(true, false));
    EXPECT(SameBits(bare.lse, batch.lse));
    EXPECT(SameBits(bare.logprob, batch.logprob));
    for (int64_t r = 0; r < shape.rows; ++r)
      EXPECT(bare.logprob[size_t(r)] ==
             float(bare.logits.Get(r, bare.targets[size_t(r)])) - bare.lse[size_t(r)]);
    backend.ops.head_backward(backend.device, batch.Backward(true, false));
    backend.ops.head_kl(backend.device, batch.Kl());
    for (int64_t r = shape.rows - 1; r >= 0; --r) {
      HeadArgs forward = alone.Forward(r % 2);
      forward.hidden = alone.hidden.Slice(r, 1);
      forward.targets += r;
      forward.logprob += r;
      forward.entropy += r;
      forward.lse += r;
      if (r % 2) forward.logits = alone.logits.Slice(r, 1);
      backend.ops.head(backend.device, forward);
      forward.logits = Tensor{};
      backend.ops.head_backward(backend.device,
                                {forward, alone.d_logprob.data() + r, alone.d_entropy.data() + r,
                                 alone.d_hidden.Slice(r, 1), Weight{}});
      backend.ops.head_kl(backend.device,
                          {forward.hidden, alone.hidden_q.Slice(r, 1), alone.weight.weight(),
                           alone.weight_q.weight(), alone.kl.data() + r});
    }
    EXPECT(SameBits(alone.logprob, batch.logprob));
    EXPECT(SameBits(alone.entropy, batch.entropy));
    EXPECT(SameBits(alone.lse, batch.lse));
    EXPECT(SameBits(alone.kl, batch.kl));
    EXPECT(alone.d_hidden == batch.d_hidden);
  }
}

struct SampleCase {
  Matrix logits;
  std::vector<float> lse, logprob, processed;
  std::vector<SampleRow> rows;
  std::vector<int32_t> seen, seen_counts, banned, token;

  SampleCase(int64_t count, int64_t vocabulary, Random random)
      : logits(DType::kF32, count, vocabulary, 3, random, 3),
        lse(size_t(count)),
        logprob(size_t(count)),
        processed(size_t(count)),
        token(size_t(count), -7) {
    constexpr float kTemperatures[] = {0, 1, 0.7f, 2.5f};
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t v = 0; v < vocabulary; v += 3)  // ties
        logits.Set(r, v, std::round(logits.Get(r, v)));
      std::vector<double> z;
      for (int64_t v = 0; v < vocabulary; ++v) z.push_back(logits.Get(r, v));
      lse[size_t(r)] = float(reference::LogSumExp(z));
      SampleRow row{kTemperatures[random.Below(4)], 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, random.Uniform()};
      if (random.Below(3) == 0) row.top_k = int32_t(1 + random.Below(vocabulary + 3));
      if (random.Below(3) == 0) row.top_p = float(random.Uniform());
      if (random.Below(3) == 0) row.min_p = float(random.Uniform() * 0.3);
      if (random.Below(3) == 0) row.repetition_penalty = float(0.8 + random.Uniform());
      if (random.Below(3) == 0) row.presence_penalty = float(random.Normal());
      if (random.Below(3) == 0) row.frequency_penalty = float(random.Normal());
      if (random.Below(10) == 0) row.uniform = 0;
      row.seen_begin = int64_t(seen.size());
      for (int32_t v = int32_t(random.Below(9)); v < vocabulary; v += 1 + int32_t(random.Below(9))) {
        seen.push_back(v);
        seen_counts.push_back(int32_t(random.Below(3)));
      }
      row.seen_end = int64_t(seen.size());
      row.banned_begin = int64_t(banned.size());
      for (int64_t i = random.Below(4); i > 1 && vocabulary > 4; --i)
        banned.push_back(int32_t(random.Below(vocabulary)));
      row.banned_end = int64_t(banned.size());
      rows.push_back(row);
    }
  }
  SampleArgs Args() {
    return {logits.tensor(), lse.data(),   rows.data(),    seen.data(),     seen_counts.data(),
            banned.data(),   token.data(), logprob.data(), processed.data()};
  }
};

void TestSample(const Backend& backend) {
  for (int64_t vocabulary : {1, 2, 17, 300, 4099}) {
    const Context context("sample " + std::to_string(vocabulary));
    SampleCase actual(120, vocabulary, Random(35)), expected = actual;
    const Matrix before = actual.logits;
    backend.ops.sample(backend.device, actual.Args());
    reference::Sample(expected.Args());
    // The kernel sums in f32, the reference in double: a border moves by 1e-7 of the whole, which
    // none of these fixed random numbers hits.
    EXPECT(actual.token == expected.token);
    EXPECT(SameBits(actual.logprob, expected.logprob));
    // Distances of size 10 from f32, a sum over the vocabulary.
    ExpectClose("processed", actual.processed, expected.processed, {1e-5, 1e-5});
    EXPECT(actual.logits == before);
    SampleCase alone(120, vocabulary, Random(35));
    for (int64_t r = 119; r >= 0; --r) {
      SampleArgs args = alone.Args();
      args.logits = alone.logits.Slice(r, 1);
      args.lse += r;
      args.rows += r;
      args.token += r;
      args.logprob += r;
      args.processed_logprob += r;
      backend.ops.sample(backend.device, args);
    }
    EXPECT(alone.token == actual.token);
    EXPECT(SameBits(alone.logprob, actual.logprob));
    EXPECT(SameBits(alone.processed, actual.processed));
  }
}

// At the very end of the unit interval the f32 sums may run out one token early: what is drawn must
// still be one of those that the filters keep.
void TestSampleEnd(const Backend& backend) {
  SampleCase c(120, 300, Random(42));
  for (SampleRow& row : c.rows) row.uniform = 1 - 0x1p-53;
  backend.ops.sample(backend.device, c.Args());
  for (int64_t r = 0; r < 120; ++r) {
    bool kept = false;
    for (const auto& candidate : reference::Candidates(c.Args(), r))
      kept = kept || candidate.id == c.token[size_t(r)];
    EXPECT(kept);
  }
}

// NaN anywhere, or nothing left to draw: token -1, never a wild one.
void TestSampleRefusals(const Backend& backend) {
  for (float temperature : {0.0f, 1.0f})
    for (int64_t place : {0, 5, 39}) {
      SampleCase c(1, 40, Random(36));
      c.rows[0] = {temperature, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0.5};
      c.logits.Set(0, place, NAN);
      backend.ops.sample(backend.device, c.Args());
      EXPECT(c.token[0] == -1);
    }
  for (float temperature : {0.0f, 1.0f}) {
    SampleCase c(1, 40, Random(37));
    c.banned.clear();
    for (int32_t v = 0; v < 40; ++v) c.banned.push_back(v);
    c.rows[0] = {temperature, 0, 1, 0, 1, 0, 0, 0, 0, 0, 40, 0.5};
    backend.ops.sample(backend.device, c.Args());
    EXPECT(c.token[0] == -1);
  }
}

// 20,000 draws against the probabilities: chi-squared with 16 degrees of freedom.
void TestSampleDistribution(const Backend& backend) {
  Random random(38);
  SampleCase c(1, 17, Random(39));
  std::vector<double> z, count(17);
  for (int64_t v = 0; v < 17; ++v) {
    c.logits.Set(0, v, random.Normal());
    z.push_back(c.logits.Get(0, v));
  }
  const double lse = reference::LogSumExp(z);
  c.lse[0] = float(lse);
  c.rows[0] = {1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0};
  for (int draw = 0; draw < 20000; ++draw) {
    c.rows[0].uniform = random.Uniform();
    backend.ops.sample(backend.device, c.Args());
    if (!EXPECT(c.token[0] >= 0 && c.token[0] < 17)) return;
    count[size_t(c.token[0])] += 1;
  }
  double chi_squared = 0;
  for (size_t v = 0; v < 17; ++v) {
    const double wanted = 20000 * std::exp(z[v] - lse);
    chi_squared += (count[v] - wanted) * (count[v] - wanted) / wanted;
  }
  EXPECT(chi_squared < 46);  // exceeded by chance once in 10,000; the seed is fixed
}

void TestThreads() {
  for (DType dtype : kComputeTypes)
    for (const Shape& shape : {Shape{40, 100, 3001}, Shape{1, 64, 9001}})
      ExpectSameOnThreads("head " + Label(dtype, shape), [&](const Backend& backend) {
        HeadCase c(dtype, shape, 0, 40);
        backend.ops.head(backend.device, c.Forward(true));
        backend.ops.head_backward(backend.device, c.Backward(true, true));
        backend.ops.head_kl(backend.device, c.Kl());
        return std::tuple(c.logprob, c.entropy, c.lse, c.logits.bytes(), c.d_hidden.bytes(),
                          c.d_weight.bytes(), c.kl);
      });
  ExpectSameOnThreads("sample", [&](const Backend& backend) {
    SampleCase c(50, 700, Random(41));
    backend.ops.sample(backend.device, c.Args());
    return std::tuple(c.token, c.logprob, c.processed);
  });
}

}  // namespace

int main() {
  OnEveryInstructionSet([](const Backend& backend) {
    TestHead(backend);
    TestHeadBackward(backend);
    TestHeadKl(backend);
    TestRowsAlone(backend);
    TestSample(backend);
    TestSampleEnd(backend);
    TestSampleRefusals(backend);
    TestSampleDistribution(backend);
  });
  TestThreads();
  return Report();
}
