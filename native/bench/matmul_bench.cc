// The linear layer's three products against the machine's multiply-add peak and, when the
// headers of oneDNN are found, against oneDNN on the same shapes: medians of interleaved runs.
// One thread is timed by its own processor time, so that a busy machine does not disturb it.
//   g++ -std=c++20 -O3 -fno-math-errno -fno-trapping-math -ffp-contract=off -march=native
//       -I native native/bench/matmul_bench.cc native/cpu/pool.cc -ldnnl -pthread -o matmul_bench
//   OMP_NUM_THREADS=2 ./matmul_bench [--threads 2] [--filter text] [--json]
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cpu/amx_permission.h"
#include "cpu/kernels/linear.h"
#include "cpu/kernels/peak.h"

#if __has_include(<dnnl.hpp>)
#include <dnnl.hpp>
#define ALIGNLAB_ONEDNN 1
#endif

namespace alignlab {
namespace {

using Run = std::function<void()>;

// Thread time when the calling thread does all the work, else wall time.
clockid_t g_clock = CLOCK_MONOTONIC;

double Now() {
  timespec t;
  clock_gettime(g_clock, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double Time(const Run& run, int times) {
  const double start = Now();
  for (int i = 0; i < times; ++i) run();
  return (Now() - start) / times;
}

double Median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
  return v[v.size() / 2];
}

// GFLOP/s of all threads on registers alone, the best of many short runs.
double Peak(Pool* pool, DType dtype) {
  constexpr int64_t kRounds = 20000;
  double best = 0;
  for (int n = 0; n < 100; ++n) {
    int64_t flops = 0;
    const double seconds = Time([&] { flops = Burn(pool, dtype, kRounds); }, 1);
    best = std::max(best, double(flops) / seconds / 1e9);
  }
  return best;
}

enum class Product { kForward, kInputGrad, kWeightGrad };
const char* Name(Product p) {
  if (p == Product::kForward) return "forward";
  return p == Product::kInputGrad ? "input_grad" : "weight_grad";
}

struct Shape {
  const char* name;
  int64_t tokens, in, out;
};

// Memory of one shape, both layouts of the weight filled with the same small numbers.
struct Buffers {
  DType dtype;
  std::vector<float> x, y, weight, gradient, plain;
  Shape shape;

  Buffers(const Shape& s, DType d)
      : dtype(d),
        x(Fill(s.tokens * s.in, d)),
        y(Fill(s.tokens * s.out, d)),
        weight(Fill(WeightElements(d, s.out, s.in, kPanel), d)),
        gradient(std::max(s.tokens * std::max(s.in, s.out),
                          WeightElements(DType::kF32, s.out, s.in, kPanel))),
        plain(Fill(s.out * s.in, d)),
        shape(s) {}

  static std::vector<float> Fill(int64_t n, DType dtype) {
    std::vector<float> v(size_t(dtype == DType::kF32 ? n : (n + 1) / 2) + kLanes);
    uint32_t state = 1;
    for (size_t i = 0; i < v.size(); ++i) {
      state = state * 1664525u + 1013904223u;
      const float value = float(int32_t(state >> 8) - (1 << 23)) / float(1 << 23);
      uint16_t pair[2 * kLanes];
      if (dtype == DType::kF32) {
        v[i] = value;
        continue;
      }
      StoreBf16(pair, Set1(value));
      std::memcpy(&v[i], pair, 4);
    }
    return v;
  }
};

Run Ours(Pool* pool, Product product, Buffers* b) {
  const Shape& s = b->shape;
  const DType d = b->dtype, f32 = DType::kF32;
  const Tensor x{b->x.data(), d, s.tokens, s.in, s.in}, y{b->y.data(), d, s.tokens, s.out, s.out};
  const Weight weight{b->weight.data(), d, s.out, s.in};
  float* result = b->gradient.data();
  if (product == Product::kForward)
    return [=] {
      Linear(pool, {x, weight, nullptr, {result, f32, s.tokens, s.out, s.out}, false});
    };
  if (product == Product::kInputGrad)
    return [=] { LinearInputGrad(pool, {y, weight, {result, f32, s.tokens, s.in, s.in}, false}); };
  return [=] { LinearWeightGrad(pool, {y, x, {result, f32, s.out, s.in}, nullptr}); };
}

#if defined(ALIGNLAB_ONEDNN)
// The forward weight is laid out as oneDNN likes it, outside of the timing, as ours is; the other
// operands are row-major, transposed by strides. The weight gradient is added to, as ours is.
Run OneDnn(Product product, Buffers* b) {
  using dnnl::memory;
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  const Shape& s = b->shape;
  const auto type = b->dtype == DType::kF32 ? memory::data_type::f32 : memory::data_type::bf16;
  using Tag = memory::format_tag;
  const auto describe = [](int64_t rows, int64_t cols, memory::data_type t, Tag tag) {
    return memory::desc({rows, cols}, t, tag);
  };
  memory::desc a, w, c;
  float *a_data = b->x.data(), *w_data = b->plain.data();
  dnnl::primitive_attr attr;
  const bool forward = product == Product::kForward;
  if (forward) {
    a = describe(s.tokens, s.in, type, Tag::ab);
    w = describe(s.in, s.out, type, Tag::any);
    c = describe(s.tokens, s.out, memory::data_type::f32, Tag::ab);
  } else if (product == Product::kInputGrad) {
    a = describe(s.tokens, s.out, type, Tag::ab);
    w = describe(s.out, s.in, type, Tag::ab);
    c = describe(s.tokens, s.in, memory::data_type::f32, Tag::ab);
    a_data = b->y.data();
  } else {
    a = describe(s.out, s.tokens, type, Tag::ba);
    w = describe(s.tokens, s.in, type, Tag::ab);
    c = describe(s.out, s.in, memory::data_type::f32, Tag::ab);
    a_data = b->y.data();
    w_data = b->x.data();
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attr.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc plan(engine, a, w, c, attr);
#else
  const dnnl::matmul::primitive_desc plan(dnnl::matmul::desc(a, w, c), attr, engine);
#endif
  memory weights(plan.weights_desc(), engine, forward ? nullptr : static_cast<void*>(w_data));
  if (forward) {
    weights = memory(plan.weights_desc(), engine);
    memory rows(describe(s.in, s.out, type, Tag::ba), engine, w_data);
    dnnl::reorder(rows, weights).execute(stream, rows, weights);
    stream.wait();
  }
  const memory source(a, engine, a_data), target(c, engine, b->gradient.data());
  const dnnl::matmul multiply(plan);
  return [=] {
    multiply.execute(stream,
                     {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, target}});
    stream.wait();
  };
}
#else
Run OneDnn(Product, Buffers*) { return nullptr; }
#endif

const Shape kShapes[] = {
    {"stories15m.qkv", 4096, 288, 864},      {"stories15m.out", 4096, 288, 288},
    {"stories15m.gate_up", 4096, 288, 1536}, {"stories15m.down", 4096, 768, 288},
    {"stories15m.head", 512, 288, 32000},    {"smol135m.qkv", 1024, 576, 960},
    {"smol135m.out", 1024, 576, 576},        {"smol135m.gate_up", 1024, 576, 3072},
    {"smol135m.down", 1024, 1536, 576},      {"smol135m.head", 256, 576, 49152},
    {"square1024", 1024, 1024, 1024},        {"decode4.qkv", 4, 576, 960},
    {"decode4.gate_up", 4, 576, 3072},       {"decode4.down", 4, 1536, 576},
    {"decode4.head", 4, 576, 49152},         {"decode16.qkv", 16, 576, 960},
    {"decode16.gate_up", 16, 576, 3072},     {"decode16.down", 16, 1536, 576},
    {"decode16.head", 16, 576, 49152},
};

struct Options {
  int threads = 2, repeats = 9;
  bool json = false;
  std::string filter;
};

void Measure(Pool* pool, const Options& options, const Shape& shape, DType dtype, Product product,
             double peak, bool first) {
  Buffers buffers(shape, dtype);
  const Run ours = Ours(pool, product, &buffers), theirs = OneDnn(product, &buffers);
  const double flops = 2.0 * double(shape.tokens) * double(shape.in) * double(shape.out);
  ours();
  if (theirs) theirs();
  const int times = std::max(1, int(0.02 / Time(ours, 1)));
  std::vector<double> our_seconds, their_seconds;
  for (int i = 0; i < options.repeats; ++i) {
    our_seconds.push_back(Time(ours, times));
    if (theirs) their_seconds.push_back(Time(theirs, times));
  }
  const double rate = flops / Median(our_seconds) / 1e9;
  const double other = theirs ? flops / Median(their_seconds) / 1e9 : 0;
  const char* type = dtype == DType::kF32 ? "f32" : "bf16";
  if (options.json) {
    std::printf(
        "%s\n  {\"shape\": \"%s\", \"tokens\": %lld, \"in\": %lld, \"out\": %lld, "
        "\"dtype\": \"%s\", \"product\": \"%s\", \"gflops\": %.1f, \"peak\": %.1f, "
        "\"onednn_gflops\": %.1f, \"ratio\": %.3f}",
        first ? "" : ",", shape.name, (long long)shape.tokens, (long long)shape.in,
        (long long)shape.out, type, Name(product), rate, peak, other, theirs ? rate / other : 0.0);
  } else {
    std::printf("%-20s T %5lld in %5lld out %6lld %-4s %-11s %7.1f GFLOP/s %4.0f%% of peak",
                shape.name, (long long)shape.tokens, (long long)shape.in, (long long)shape.out,
                type, Name(product), rate, 100 * rate / peak);
    if (theirs) std::printf("  oneDNN %7.1f  ratio %.2f", other, rate / other);
    std::printf("\n");
  }
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
#if defined(__AMX_BF16__)
  if (!RequestAmx()) {
    std::fprintf(stderr, "the system does not let this process use AMX\n");
    return 1;
  }
#endif
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--json") {
      options.json = true;
    } else if (i + 1 < argc && flag == "--threads") {
      options.threads = std::atoi(argv[++i]);
    } else if (i + 1 < argc && flag == "--repeats") {
      options.repeats = std::atoi(argv[++i]);
    } else if (i + 1 < argc && flag == "--filter") {
      options.filter = argv[++i];
    } else {
      std::fprintf(stderr, "unknown option %s\n", flag.c_str());
      return 1;
    }
  }
  Pool pool(options.threads);
  if (options.threads == 1) g_clock = CLOCK_THREAD_CPUTIME_ID;
  const double peaks[] = {Peak(&pool, DType::kF32), Peak(&pool, DType::kBF16)};
  if (options.json)
    std::printf("{\"threads\": %d, \"peak_f32\": %.1f, \"peak_bf16\": %.1f, \"results\": [",
                options.threads, peaks[0], peaks[1]);
  else
    std::printf("%d threads, peak %.1f GFLOP/s f32, %.1f bf16\n", options.threads, peaks[0],
                peaks[1]);
  bool first = true;
  for (const Shape& shape : kShapes)
    for (const DType dtype : {DType::kF32, DType::kBF16})
      for (const Product product : {Product::kForward, Product::kInputGrad, Product::kWeightGrad}) {
        const std::string key = std::string(shape.name) + " " +
                                (dtype == DType::kF32 ? "f32 " : "bf16 ") + Name(product);
        if (key.find(options.filter) == std::string::npos) continue;
        if (shape.tokens < 64 && product != Product::kForward) continue;  // decoding
        Measure(&pool, options, shape, dtype, product, peaks[dtype == DType::kBF16], first);
        first = false;
      }
  if (options.json) std::printf("\n]}\n");
  return 0;
}

}  // namespace
}  // namespace alignlab

int main(int argc, char** argv) { return alignlab::Main(argc, argv); }
