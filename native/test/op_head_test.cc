// Head, HeadBackward and HeadKl against native/reference.
#include "reference/head.h"
#include "test/backends.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

struct Shape {
  int64_t rows, width, vocabulary;
};
// Vocabularies below a panel, with a tail, of several slabs.
constexpr Shape kShapes[] = {{0, 16, 20}, {1, 8, 1},      {1, 64, 17},    {3, 33, 100},
                             {7, 64, 64}, {40, 48, 5003}, {70, 100, 900}, {3, 16, 16500}};
// Rows that Hopper's instructions take; one tile and several, with tails in both directions.
constexpr Shape kHopperShapes[] = {{1, 64, 17}, {40, 48, 5003}, {130, 104, 900}};

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
    HeadArgs args{hidden.tensor(), weight.weight(), targets.data(), logprob.data(),
                  nullptr,         lse.data(),      Tensor{}};
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

// on_backends(check) calls check(backend) for each that is tested.
template <class OnBackends>
void TestForward(const Shape& shape, int64_t gap, const OnBackends& on_backends) {
  for (DType dtype : kComputeTypes) {
    HeadCase expected(dtype, shape, gap, 31);
    reference::Head(expected.Forward(true));
    reference::HeadKl(expected.Kl());
    on_backends([&](const Backend& backend) {
      const Context context("head " + Label(dtype, shape));
      HeadCase actual(dtype, shape, gap, 31);
      backend.ops.head(backend.device, actual.Forward(true));
      ExpectClose("logprob", actual.logprob, expected.logprob, kLogScale);
      ExpectClose("entropy", actual.entropy, expected.entropy, kLogScale);
      ExpectClose("lse", actual.lse, expected.lse, kLogScale);
      ExpectClose("logits", actual.logits, expected.logits, kLogScale);
      backend.ops.head_kl(backend.device, actual.Kl());
      ExpectClose("kl", actual.kl, expected.kl, kLogScale);
      HeadKlArgs itself = actual.Kl();
      itself.hidden_q = itself.hidden_p;
      itself.weight_q = itself.weight_p;
      backend.ops.head_kl(backend.device, itself);
      for (float kl : actual.kl) EXPECT(kl == 0);  // equal logits, equal sums: nothing is left
    });
  }
}

template <class OnBackends>
void TestBackward(const Shape& shape, int64_t gap, const OnBackends& on_backends) {
  for (DType dtype : kComputeTypes)
    for (bool with_entropy : {false, true}) {
      HeadCase expected(dtype, shape, gap, 32);
      reference::HeadBackward(expected.Backward(with_entropy, true));
      on_backends([&](const Backend& backend) {
        const Context context("head backward " + Label(dtype, shape));
        HeadCase actual(dtype, shape, gap, 32);
        backend.ops.head(backend.device, actual.Forward(false));
        backend.ops.head_backward(backend.device, actual.Backward(with_entropy, true));
        // In bf16 dz itself is rounded to bf16 for the matrix product: 2^-9 of each term, and
        // terms of size 2 in all.
        const Tolerance sums =
            dtype == DType::kF32 ? Tolerance{2e-5, 1e-5} : Tolerance{2e-2, kBf16Unit};
        ExpectClose("d_hidden", actual.d_hidden, expected.d_hidden, sums);
        ExpectClose("d_weight", actual.d_weight, expected.d_weight, sums);
        EXPECT(actual.d_weight.PaddingZero());
        HeadCase frozen(dtype, shape, gap, 32);  // without d_weight: the same d_hidden
        backend.ops.head(backend.device, frozen.Forward(false));
        backend.ops.head_backward(backend.device, frozen.Backward(with_entropy, false));
        EXPECT(frozen.d_hidden == actual.d_hidden);
      });
    }
}

// The promise that sampler, scorer and training forward rest on: a row's numbers do not depend on
// its batch, nor on what else is asked for.
void TestRowsAlone(const Backend& backend, const Shape& shape) {
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

auto All(const Backend& backend, DType dtype, const Shape& shape) {
  HeadCase c(dtype, shape, 0, 40);
  backend.ops.head(backend.device, c.Forward(true));
  backend.ops.head_backward(backend.device, c.Backward(true, true));
  backend.ops.head_kl(backend.device, c.Kl());
  return std::tuple(c.logprob, c.entropy, c.lse, c.logits.bytes(), c.d_hidden.bytes(),
                    c.d_weight.bytes(), c.kl);
}

void TestThreads() {
  for (DType dtype : kComputeTypes) {
    for (const Shape& shape : {Shape{40, 100, 3001}, Shape{1, 64, 9001}})
      ExpectSameOnThreads("head " + Label(dtype, shape),
                          [&](const Backend& backend) { return All(backend, dtype, shape); });
    for (const Shape& shape : {Shape{40, 64, 300}, Shape{3, 20, 200}})
      ExpectSameInAnyOrder("head " + Label(dtype, shape),
                           [&](const Backend& backend) { return All(backend, dtype, shape); });
  }
}

}  // namespace

int main() {
  for (const Shape& shape : kShapes) {
    TestForward(shape, 4, [](const auto& check) { OnEveryBackend(check); });
    TestBackward(shape, 3, [](const auto& check) { OnEveryBackend(check); });
  }
  for (const Shape& shape : kHopperShapes) {
    const auto by_hopper = [](const auto& check) {
      OnEmulatedCuda(cuda::HopperUse::kAlways, check);
      OnFastDevice(check);
    };
    TestForward(shape, 8, by_hopper);
    TestBackward(shape, 8, by_hopper);
  }
  OnEveryInstructionSet([](const Backend& cpu) { TestRowsAlone(cpu, {40, 100, 3001}); });
  OnEveryBackend([](const Backend& backend) {
    TestRowsAlone(backend, {40, 32, 700});  // rows of whole 16 bytes, in f32 and in bf16
    TestRowsAlone(backend, {5, 33, 300});
  });
  OnEmulatedCuda(cuda::HopperUse::kAlways, [](const Backend& backend) {
    TestRowsAlone(backend, {40, 32, 700});
  });
  TestThreads();
  return Report();
}
