// Plain values of an object by their keys. TypeScript has checked them: what is missing or of
// another kind is a mistake of ours, INTERNAL.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "error.h"

namespace alignlab {

inline double Number(const Napi::Object& o, const char* key) {
  const Napi::Value value = o.Get(key);
  Check(value.IsNumber(), key);
  return value.As<Napi::Number>().DoubleValue();
}
inline int64_t Whole(const Napi::Object& o, const char* key) { return int64_t(Number(o, key)); }
inline float Real(const Napi::Object& o, const char* key) { return float(Number(o, key)); }
inline bool Flag(const Napi::Object& o, const char* key) {
  const Napi::Value value = o.Get(key);
  Check(value.IsBoolean(), key);
  return value.As<Napi::Boolean>().Value();
}
inline std::vector<int64_t> Wholes(const Napi::Object& o, const char* key) {
  const Napi::Value value = o.Get(key);
  Check(value.IsArray(), key);
  const auto array = value.As<Napi::Array>();
  std::vector<int64_t> out;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value item = array.Get(i);
    Check(item.IsNumber(), key);
    out.push_back(item.As<Napi::Number>().Int64Value());
  }
  return out;
}

}  // namespace alignlab
