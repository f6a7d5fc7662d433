// Steps of the CUDA backend: what is noted gives the bits of what is started singly, on branches,
// too; one graph serves steps that differ in their arguments, and a step that is given up leaves no
// trace.
#include <vector>

#include "backend/buffer.h"
#include "backend/noted_step.h"
#include "error.h"
#include "test/backends.h"
#include "test/check.h"

using namespace alignlab;
using namespace alignlab::test;

namespace {

constexpr int64_t kVocab = 40, kWidth = 24;

// A step in small: rows of a table are looked up, added, and drawn from.
struct Small {
  explicit Small(const Backend& b)
      : backend(b),
        table(b, kVocab * kWidth * 4, "a table"),
        x(b, 4096 * kWidth * 4, "rows"),
        lse(b, 4096 * 4, "sums") {
    std::vector<float> values;
    for (int64_t i = 0; i < kVocab * kWidth; ++i) values.push_back(float(i * 37 % 101) / 50);
    b.memory.copy_in(b.device, table.data(), values.data(), values.size() * 4);
    b.memory.zero(b.device, lse.data(), lse.bytes());
  }

  void Start(const std::vector<int32_t>& ids, float scale) {
    const auto rows = int64_t(ids.size());
    const Tensor out{x.data(), DType::kF32, rows, kWidth, kWidth};
    const Weight weight{table.data(), DType::kF32, kVocab, kWidth};
    backend.memory.zero(backend.device, x.data(), size_t(rows * kWidth) * 4);
    // A copy of the ids that is gone when the operation has returned.
    const std::vector<int32_t> own = ids;
    backend.ops.embed(backend.device, {own.data(), rows, weight, false, true, out});
    backend.ops.axpby(backend.device, scale, table.f32(), 1, x.f32(), kWidth);
    Draw(rows);
  }
  // Adds to the rows once more, and draws again.
  void Again() {
    backend.ops.axpby(backend.device, 0.25f, table.f32(), -1, x.f32(), kWidth);
    Draw(int64_t(token.size()));
  }
  void Draw(int64_t rows) {
    const Tensor out{x.data(), DType::kF32, rows, kWidth, kWidth};
    std::vector<SampleRow> draws(static_cast<size_t>(rows));
    for (size_t r = 0; r < draws.size(); ++r) {
      draws[r] = {};
      draws[r].temperature = draws[r].top_p = draws[r].repetition_penalty = 1;
      draws[r].uniform = double(r % 7) / 7;
    }
    token.assign(draws.size(), -7);
    logprob.assign(draws.size(), -7);
    processed.assign(draws.size(), -7);
    backend.ops.sample(backend.device, {out,
                                        {},
                                        lse.f32(),
                                        draws.data(),
                                        nullptr,
                                        nullptr,
                                        nullptr,
                                        token.data(),
                                        logprob.data(),
                                        processed.data()});
  }
  bool untouched() const {
    for (int32_t t : token)
      if (t != -7) return false;
    return true;
  }

  const Backend& backend;
  Buffer table, x, lse;
  std::vector<int32_t> token;
  std::vector<float> logprob, processed;
};

std::vector<int32_t> Ids(int64_t count, int32_t first) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(int32_t((first + 3 * i) % kVocab));
  return ids;
}

const cuda::StepGraph& GraphOf(const Backend& table) {
  return cuda::CudaBackend::Of(&table)->device().graph();
}

void ExpectStepEqualsSingly(Small& noted, Small& singly, const std::vector<int32_t>& ids,
                            float scale) {
  NotedStep step(noted.backend, true);
  noted.Start(ids, scale);
  EXPECT(noted.untouched());
  step.Run();
  singly.Start(ids, scale);
  EXPECT(noted.token == singly.token);
  EXPECT(noted.logprob == singly.logprob && noted.processed == singly.processed);
}

// Steps of which each differs from the one before, on a GPU too.
void TestBits(const Backend& table) {
  Small noted(table), singly(table);
  for (const float scale : {0.5f, 0.5f, -2.0f})
    for (const int64_t rows : {5, 5, 9, 4000, 6})
      ExpectStepEqualsSingly(noted, singly, Ids(rows, int32_t(rows) % 5), scale);
}

// Operations of branches run in any order, and get into each other's way nowhere: the second round
// of each branch reads what its first one has left.
void TestBranches(const Backend& table) {
  constexpr int32_t kBranches = 3;
  std::vector<Small> noted, singly;
  for (auto* all : {&noted, &singly})
    for (int32_t b = 0; b < kBranches; ++b) all->emplace_back(table);
  const auto ids = [](int32_t branch, int64_t round) {
    return Ids(5 + 2 * branch, branch + int32_t(round));
  };
  for (int64_t round = 0; round < 4; ++round) {
    NotedStep step(table, true, kBranches);
    for (int32_t b = 0; b < kBranches; ++b) {
      step.Branch(b);
      noted[size_t(b)].Start(ids(b, round), 0.5f);
    }
    for (int32_t b = kBranches - 1; b >= 0; --b) {
      step.Branch(b);
      noted[size_t(b)].Again();
    }
    step.Run();
    for (int32_t b = 0; b < kBranches; ++b) {
      Small &n = noted[size_t(b)], &s = singly[size_t(b)];
      s.Start(ids(b, round), 0.5f);
      s.Again();
      EXPECT(n.token == s.token && n.logprob == s.logprob && n.processed == s.processed);
    }
  }
}

// Layers of networks of one form, forward and backward.
struct Networks {
  static constexpr int64_t kIn = 20, kOut = 36;

  Networks(const Backend& b, int64_t members, int64_t rows)
      : backend(b), rows(rows), memory(b, size_t(members * kEach) * 4, "networks") {
    std::vector<float> values;
    for (int64_t i = 0; i < members * kEach; ++i) values.push_back(float(i * 37 % 101) / 50 - 1);
    b.memory.copy_in(b.device, memory.data(), values.data(), values.size() * 4);
  }
  void Start(int64_t member, int64_t more = 0) {
    float *x = memory.f32() + member * kEach, *y = x + kRows * kIn, *w = y + kRows * kOut;
    const Tensor in{x, DType::kF32, rows + more, kIn, kIn};
    const Tensor out{y, DType::kF32, rows + more, kOut, kOut};
    const Weight weight{w, DType::kF32, kOut, kIn};
    backend.ops.linear(backend.device, {in, weight, w + kOut * kIn, out, false});
    backend.control->relu(backend.device, out);
    backend.ops.linear_weight_grad(backend.device, {out, in, weight, w + kOut * kIn});
  }
  std::vector<float> Values() const {
    std::vector<float> values(memory.bytes() / 4);
    backend.memory.copy_out(backend.device, values.data(), memory.data(), memory.bytes());
    return values;
  }

  static constexpr int64_t kRows = 80;
  static constexpr int64_t kEach = kRows * (kIn + kOut) + kOut * kIn + kOut + 4;
  const Backend& backend;
  int64_t rows;
  Buffer memory;
};

// Runs an update of networks on branches; the last one has `more` rows more.
void UpdateOnBranches(Networks& networks, int64_t members, int64_t more = 0) {
  NotedStep step(networks.backend, true, members);
  for (int64_t m = 0; m < members; ++m) {
    step.Branch(m);
    networks.Start(m, m + 1 == members ? more : 0);
  }
  step.Run();
}

// Branches that do the same become one, in bits as if each had run alone.
void TestJoined(const Backend& table) {
  for (const int64_t members : {1, 2, 3, 8, 9, 20})
    for (const int64_t more : {0, 1, 20}) {
      const Context context(std::to_string(members) + " branches");
      Networks noted(table, members, 60), singly(table, members, 60);
      for (int round = 0; round < 2; ++round) {
        UpdateOnBranches(noted, members, more);
        for (int64_t m = 0; m < members; ++m) singly.Start(m, m + 1 == members ? more : 0);
        EXPECT(SameBits(noted.Values(), singly.Values()));
      }
    }
}

// As many nodes as one branch has, or two for more than fit into one; where a branch differs, each
// keeps its own.
void TestNodesOfJoined(const Backend& table) {
  const auto nodes = [&](int64_t members, int64_t more) {
    Networks networks(table, members, 60);
    UpdateOnBranches(networks, members, more);
    return GraphOf(table).nodes();
  };
  const size_t one = nodes(1, 0);
  EXPECT(one == 5);  // product, activation, gradient of the weight, and of the bias in two parts
  EXPECT(nodes(2, 0) == one && nodes(8, 0) == one);
  EXPECT(nodes(9, 0) == 2 * one && nodes(16, 0) == 2 * one && nodes(17, 0) == 3 * one);
  EXPECT(nodes(3, 1) == one);  // on the same grids
  EXPECT(nodes(3, 20) == 3 * one);
}

// The same operations on other branches are another graph.
void TestBranchesOfGraph(const Backend& table) {
  Small one(table), other(table);
  const auto run = [&](int32_t branch) {
    NotedStep step(table, true, 2);
    one.Start(Ids(5, 1), 0.5f);
    step.Branch(branch);
    other.Start(Ids(5, 1), 0.5f);
    step.Run();
    EXPECT(one.token == other.token);
  };
  for (const int64_t made : {1, 1}) {
    run(1);
    EXPECT(GraphOf(table).made() == made && GraphOf(table).changed() == 0);
  }
  run(0);
  EXPECT(GraphOf(table).made() == 2);
}

void TestGraph(const Backend& table) {
  Small noted(table), singly(table);
  const cuda::StepGraph& graph = GraphOf(table);
  ExpectStepEqualsSingly(noted, singly, Ids(5, 1), 0.5f);
  EXPECT(graph.made() == 1 && graph.changed() == 0);
  // The same again changes nothing in the graph; only what is uploaded before it differs.
  ExpectStepEqualsSingly(noted, singly, Ids(5, 2), 0.5f);
  EXPECT(graph.made() == 1 && graph.changed() == 0);
  // One argument of one kernel.
  ExpectStepEqualsSingly(noted, singly, Ids(5, 2), -2.0f);
  EXPECT(graph.made() == 1 && graph.changed() == 1);
  // Other sizes: of what is zeroed, of grids and of copies.
  ExpectStepEqualsSingly(noted, singly, Ids(9, 4), -2.0f);
  EXPECT(graph.made() == 1 && graph.changed() > 2);
  // More than a block of the rooms holds, and back.
  ExpectStepEqualsSingly(noted, singly, Ids(4000, 4), 1.0f);
  ExpectStepEqualsSingly(noted, singly, Ids(6, 3), 1.0f);
  EXPECT(graph.made() == 1);
}

void TestOtherOperations(const Backend& table) {
  Small noted(table), singly(table);
  ExpectStepEqualsSingly(noted, singly, Ids(5, 1), 0.5f);
  const int64_t made = GraphOf(table).made();
  NotedStep step(table, true);
  noted.Start(Ids(5, 1), 0.5f);
  table.ops.axpby(table.device, 1, noted.table.f32(), 2, noted.x.f32(), kWidth);
  step.Run();
  EXPECT(GraphOf(table).made() == made + 1);
  EXPECT(noted.token == singly.token);
}

void TestGivenUp(const Backend& table) {
  Small noted(table), singly(table);
  {
    NotedStep step(table, true);
    noted.Start(Ids(5, 1), 0.5f);
  }
  EXPECT(noted.untouched());
  noted.Start(Ids(5, 1), 0.5f);  // singly again
  singly.Start(Ids(5, 1), 0.5f);
  EXPECT(noted.token == singly.token && !noted.untouched());
  ExpectStepEqualsSingly(noted, singly, Ids(3, 1), 1.0f);
}

// What waits for the device would wait for kernels that have not started.
void TestWaiting(const Backend& table) {
  Small noted(table);
  NotedStep step(table, true);
  noted.Start(Ids(5, 1), 0.5f);
  float value = 0;
  bool refused = false;
  try {
    table.memory.copy_out(table.device, &value, noted.x.data(), 4);
  } catch (const Error&) {
    refused = true;
  }
  EXPECT(refused);
}

// Arrays of a batch are staged once a step, and never taken from an earlier one.
void TestBatchArrays(const Backend& table) {
  cuda::Device& device = cuda::CudaBackend::Of(&table)->device();
  const int32_t values[2] = {1, 2};
  const auto stage = [&] { return device.StageBatch(cuda::BatchArray::kPositions, 77, values, 2); };
  const int32_t* kept = stage();
  EXPECT(stage() == kept);
  {
    NotedStep step(table, true);
    EXPECT(!device.Kept(cuda::BatchArray::kPositions, 77));
    const int32_t* noted = stage();
    EXPECT(noted != kept && stage() == noted);
    EXPECT(device.Kept(cuda::BatchArray::kPositions, 77) == noted);
    step.Run();
  }
  EXPECT(device.Kept(cuda::BatchArray::kPositions, 77) == kept);
}

}  // namespace

int main() {
  if (!kEmulateCuda && !test_device.backend()) return 0;
  for (const auto& test : {TestBits, TestBranches, TestJoined, TestGivenUp, TestWaiting}) {
    OnEmulatedCuda(cuda::HopperUse::kNever, test);
    OnDevice(test);
  }
  // These look into the device.
  for (const auto& test :
       {TestGraph, TestBranchesOfGraph, TestNodesOfJoined, TestOtherOperations, TestBatchArrays})
    OnEmulatedCuda(cuda::HopperUse::kNever, test);
  return Report();
}
