// Sample against native/reference, and against the distribution that it promises.
#include "reference/head.h"
#include "reference/sample.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

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
      for (int32_t v = int32_t(random.Below(9)); v < vocabulary;
           v += 1 + int32_t(random.Below(9))) {
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
    return {logits.tensor(), {},           lse.data(),
            rows.data(),     seen.data(),  seen_counts.data(),
            banned.data(),   token.data(), logprob.data(),
            processed.data()};
  }
};

void TestSample(const Backend& backend) {
  for (int64_t vocabulary : {1, 2, 17, 300, 4099, 40001}) {
    const Context context("sample " + std::to_string(vocabulary));
    const int64_t rows = vocabulary > 10000 ? 12 : 120;
    SampleCase actual(rows, vocabulary, Random(35)), expected = actual;
    const Matrix before = actual.logits;
    backend.ops.sample(backend.device, actual.Args());
    reference::Sample(expected.Args());
    // The kernels sum in f32 or in fixed point, the reference in double: a border moves by 1e-7 of
    // the whole, which none of these fixed random numbers hits.
    EXPECT(actual.token == expected.token);
    EXPECT(SameBits(actual.logprob, expected.logprob));
    // Distances of size 10 from f32, a sum over the vocabulary.
    ExpectClose("processed", actual.processed, expected.processed, {1e-5, 1e-5});
    EXPECT(actual.logits == before);
    SampleCase alone(rows, vocabulary, Random(35));
    for (int64_t r = rows - 1; r >= 0; --r) {
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

// Drawn from other logits than those whose log-probability is returned.
void TestDrawFrom(const Backend& backend) {
  SampleCase actual(60, 300, Random(51)), expected = actual, other(60, 300, Random(52));
  for (SampleCase* c : {&actual, &expected}) {
    SampleArgs args = c->Args();
    args.draw_from = other.logits.tensor();
    if (c == &actual)
      backend.ops.sample(backend.device, args);
    else
      reference::Sample(args);
  }
  EXPECT(actual.token == expected.token);
  EXPECT(SameBits(actual.logprob, expected.logprob));
  ExpectClose("processed", actual.processed, expected.processed, {1e-5, 1e-5});  // as TestSample
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
  const auto sample = [&](const Backend& backend) {
    SampleCase c(50, 700, Random(41));
    backend.ops.sample(backend.device, c.Args());
    return std::tuple(c.token, c.logprob, c.processed);
  };
  ExpectSameOnThreads("sample", sample);
  ExpectSameInAnyOrder("sample", sample);
}

}  // namespace

int main() {
  OnEveryBackend([](const Backend& backend) {
    TestSample(backend);
    TestDrawFrom(backend);
    TestSampleEnd(backend);
    TestSampleRefusals(backend);
    TestSampleDistribution(backend);
  });
  TestThreads();
  return Report();
}
