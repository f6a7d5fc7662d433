#include "bindings/arguments.h"

#include <cstring>

#include "bindings/object_reader.h"

namespace alignlab {

namespace {

std::string Text(const Napi::Value& value, const char* what) {
  Check(value.IsString(), what);
  return value.As<Napi::String>().Utf8Value();
}

template <class T>
std::vector<T> TypedArray(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  Check(value.IsTypedArray(), what);
  const auto array = value.As<Napi::TypedArray>();
  Check(array.TypedArrayType() == type, what);
  const auto* data = static_cast<const char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  std::vector<T> out(array.ElementLength());
  if (!out.empty()) std::memcpy(out.data(), data, out.size() * sizeof(T));
  return out;
}
std::vector<int32_t> Ints(const Napi::Object& o, const char* key) {
  return TypedArray<int32_t>(o.Get(key), napi_int32_array, key);
}

Activation ReadActivation(const Napi::Value& value) {
  const std::string name = Text(value, "activation");
  if (name == "silu-gated") return Activation::kSiluGated;
  if (name == "gelu-tanh") return Activation::kGeluTanh;
  if (name == "gelu-erf") return Activation::kGeluErf;
  Check(name == "gelu-tanh-gated", "activation");
  return Activation::kGeluTanhGated;
}

}  // namespace

DType ReadDType(const Napi::Value& value) {
  const std::string name = Text(value, "dtype");
  if (name == "f32") return DType::kF32;
  if (name == "bf16") return DType::kBF16;
  Check(name == "f16", "dtype");
  return DType::kF16;
}

int ReadDevice(const Napi::Value& value) {
  return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : -1;
}

ModelConfig ReadConfig(const Napi::Object& o) {
  ModelConfig c;
  c.vocab = Whole(o, "vocab");
  c.width = Whole(o, "width");
  c.layers = Whole(o, "layers");
  c.heads = Whole(o, "heads");
  c.kv_heads = Whole(o, "kvHeads");
  c.head_dim = Whole(o, "headDim");
  c.mlp_width = Whole(o, "mlpWidth");
  c.max_position = Whole(o, "maxPosition");
  c.norm = Text(o.Get("norm"), "norm") == "rms" ? NormKind::kRms : NormKind::kLayer;
  c.norm_eps = Real(o, "normEps");
  c.activation = ReadActivation(o.Get("activation"));
  c.rotary_dim = Whole(o, "rotaryDim");
  c.inverse_frequencies = ReadFloats(o.Get("inverseFrequencies"));
  c.learned_positions = Flag(o, "learnedPositions");
  c.qk_norm = Flag(o, "qkNorm");
  c.qkv_bias = Flag(o, "qkvBias");
  c.out_bias = Flag(o, "outBias");
  c.mlp_bias = Flag(o, "mlpBias");
  c.parallel_residual = Flag(o, "parallelResidual");
  c.tied_head = Flag(o, "tiedHead");
  c.attention_scale = Real(o, "attentionScale");
  c.scalar_outputs = Whole(o, "scalarOutputs");
  Check(int64_t(c.inverse_frequencies.size()) * 2 == c.rotary_dim, "inverseFrequencies");
  Check(c.kv_heads > 0 && c.heads % c.kv_heads == 0, "kvHeads");
  return c;
}

Forest ReadForest(const Napi::Object& o) {
  Forest f;
  f.tokens = Ints(o, "tokens");
  f.offsets = Ints(o, "offsets");
  f.parents = Ints(o, "parents");
  f.scored = TypedArray<uint8_t>(o.Get("scored"), napi_uint8_array, "scored");
  f.scalar_at = Ints(o, "scalarAt");
  return f;
}

std::vector<TensorRange> ReadRanges(const Napi::Array& array) {
  std::vector<TensorRange> out;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    Check(item.IsObject(), "tensor range");
    const auto o = item.As<Napi::Object>();
    TensorRange r;
    r.name = Text(o.Get("name"), "name");
    r.path = Text(o.Get("path"), "path");
    r.begin = uint64_t(Whole(o, "begin"));
    r.dtype = ReadDType(o.Get("dtype"));
    r.slot = int32_t(Whole(o, "slot"));
    r.offset = Whole(o, "offset");
    r.dims = Wholes(o, "dims");
    r.strides = Wholes(o, "strides");
    out.push_back(std::move(r));
  }
  return out;
}

TensorSet ReadTensorSet(const Napi::Value& value) {
  const std::string name = Text(value, "tensor set");
  if (name == "weights") return TensorSet::kWeights;
  if (name == "gradients") return TensorSet::kGradients;
  if (name == "moment1") return TensorSet::kMoment1;
  Check(name == "moment2", "tensor set");
  return TensorSet::kMoment2;
}

AdamWSettings ReadAdamW(const Napi::Object& o) {
  return {Real(o, "learningRate"),
          Real(o, "beta1"),
          Real(o, "beta2"),
          Real(o, "epsilon"),
          Real(o, "weightDecay"),
          Real(o, "maxGradNorm"),
          TypedArray<uint8_t>(o.Get("decays"), napi_uint8_array, "decays")};
}

std::vector<GenerationRequest> ReadGeneration(const Napi::Object& o) {
  SamplingSettings s;
  s.temperature = Real(o, "temperature");
  s.top_k = int32_t(Whole(o, "topK"));
  s.top_p = Real(o, "topP");
  s.min_p = Real(o, "minP");
  s.repetition_penalty = Real(o, "repetitionPenalty");
  s.presence_penalty = Real(o, "presencePenalty");
  s.frequency_penalty = Real(o, "frequencyPenalty");
  s.min_new_tokens = int32_t(Whole(o, "minNewTokens"));
  s.max_new_tokens = int32_t(Whole(o, "maxNewTokens"));
  s.stop_tokens = Ints(o, "stopTokens");
  const auto tokens = Ints(o, "tokens"), offsets = Ints(o, "offsets"), samples = Ints(o, "samples");
  const auto seeds = TypedArray<uint64_t>(o.Get("seeds"), napi_biguint64_array, "seeds");
  const auto streams = TypedArray<uint64_t>(o.Get("streams"), napi_biguint64_array, "streams");
  Check(offsets.size() == samples.size() + 1 && seeds.size() == streams.size(), "prompts");
  std::vector<GenerationRequest> out;
  size_t sequence = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    Check(offsets[i] >= 0 && offsets[i] <= offsets[i + 1] &&
              size_t(offsets[i + 1]) <= tokens.size() && samples[i] >= 0 &&
              sequence + size_t(samples[i]) <= seeds.size(),
          "prompts");
    GenerationRequest r;
    r.prompt.assign(tokens.begin() + offsets[i], tokens.begin() + offsets[i + 1]);
    r.settings = s;
    const auto begin = int64_t(sequence), end = begin + samples[i];
    r.seeds.assign(seeds.begin() + begin, seeds.begin() + end);
    r.streams.assign(streams.begin() + begin, streams.begin() + end);
    sequence = size_t(end);
    out.push_back(std::move(r));
  }
  Check(sequence == seeds.size(), "seeds");
  return out;
}

std::vector<float> ReadFloats(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  return TypedArray<float>(value, napi_float32_array, "floats");
}

Napi::Float32Array ToFloat32Array(Napi::Env env, const std::vector<float>& values) {
  auto array = Napi::Float32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * 4);
  return array;
}

Napi::Int32Array ToInt32Array(Napi::Env env, const std::vector<int32_t>& values) {
  auto array = Napi::Int32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * 4);
  return array;
}

}  // namespace alignlab
