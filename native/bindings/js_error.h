// The one place where C++ exceptions become JavaScript errors.
#pragma once

#include <napi.h>

#include <exception>
#include <new>

#include "error.h"

namespace alignlab {

inline Napi::Error ToJsError(Napi::Env env, std::exception_ptr failure) {
  const auto coded = [env](const char* code, const char* message) {
    Napi::Error error = Napi::Error::New(env, message);
    error.Set("code", code);
    return error;
  };
  try {
    std::rethrow_exception(failure);
  } catch (const Napi::Error& error) {
    return error;
  } catch (const Error& error) {
    return coded(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return coded("OUT_OF_MEMORY",
                 "The machine has no memory left for this call. Use smaller "
                 "batches or dispose models that are not needed.");
  } catch (const std::exception& error) {
    return coded("INTERNAL", error.what());
  } catch (...) {
    return coded("INTERNAL", "an exception of unknown type");
  }
}

// Runs the body of a JavaScript-called function; what it throws becomes a JavaScript exception.
template <class Body>
auto Guarded(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (...) {
    throw ToJsError(env, std::current_exception());
  }
}

}  // namespace alignlab
