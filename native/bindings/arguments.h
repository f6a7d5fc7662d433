// Reads what src/engine/ passes. The façade has checked what users can get wrong; here a wrong
// type is a bug of the façade and throws INTERNAL.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "decode/generator.h"
#include "model/tensor_file.h"
#include "optimizer/adamw.h"

namespace alignlab {

ModelConfig ReadConfig(const Napi::Object& object);
DType ReadDType(const Napi::Value& value);  // 'f32' | 'bf16' | 'f16'
int ReadDevice(const Napi::Value& value);   // a CUDA device's number; -1, or left out: the CPU
Forest ReadForest(const Napi::Object& object);
std::vector<TensorRange> ReadRanges(const Napi::Array& array);
TensorSet ReadTensorSet(const Napi::Value& value);
AdamWSettings ReadAdamW(const Napi::Object& object);
std::vector<GenerationRequest> ReadGeneration(const Napi::Object& object);
std::vector<float> ReadFloats(const Napi::Value& value);  // Float32Array; undefined: empty

Napi::Float32Array ToFloat32Array(Napi::Env env, const std::vector<float>& values);
Napi::Int32Array ToInt32Array(Napi::Env env, const std::vector<int32_t>& values);

}  // namespace alignlab
