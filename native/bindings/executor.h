// One thread and one first-in-first-out queue per Node environment: all native work of that
// environment runs there, in order, and never on the JavaScript thread or on libuv's pool.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <type_traits>

#include "cancel.h"

namespace alignlab {

// A piece of work. Run is called on the executor's thread; Settle and the destructor on the
// JavaScript thread, except when the environment is going away.
class Job {
 public:
  explicit Job(Napi::Env env) : deferred(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;
  virtual void Run(const CancelToken& cancel) = 0;
  virtual Napi::Value Result(Napi::Env env) = 0;

  Napi::Promise::Deferred deferred;
  std::shared_ptr<CancelToken> cancel = std::make_shared<CancelToken>();
  std::exception_ptr failure;
};

// A job made of two functions, both destroyed on the JavaScript thread.
template <class RunFunction, class ConvertFunction>
class FunctionJob final : public Job {
 public:
  FunctionJob(Napi::Env env, RunFunction run, ConvertFunction convert)
      : Job(env), run_(std::move(run)), convert_(std::move(convert)) {}

  void Run(const CancelToken& cancel) override {
    if constexpr (kVoid)
      run_(cancel);
    else
      result_ = std::make_unique<T>(run_(cancel));
  }
  Napi::Value Result(Napi::Env env) override {
    if constexpr (kVoid)
      return convert_(env);
    else
      return convert_(env, *result_);
  }

 private:
  using T = std::invoke_result_t<RunFunction&, const CancelToken&>;
  static constexpr bool kVoid = std::is_void_v<T>;
  RunFunction run_;
  ConvertFunction convert_;
  std::unique_ptr<std::conditional_t<kVoid, char, T>> result_;
};

class Executor {
 public:
  explicit Executor(Napi::Env env);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Queues `run(const CancelToken&) -> T`; its promise resolves to `convert(env, T&)`, or
  // `convert(env)` for void. Returns a JavaScript object {promise, cancel()}.
  template <class Run, class Convert>
  Napi::Object Submit(Napi::Env env, Run run, Convert convert) {
    return Enqueue(
        env, std::make_unique<FunctionJob<Run, Convert>>(env, std::move(run), std::move(convert)));
  }

  // From the executor's thread: calls `deliver(env)` on the JavaScript thread, before any promise
  // of work that ends later is settled.
  void Post(std::function<void(Napi::Env)> deliver);

  // Destroys `garbage` on the executor's thread: giving gigabytes back to the system takes longer
  // than the JavaScript thread may be kept.
  void Discard(std::shared_ptr<void> garbage);

  // Cancels all work, waits for the running piece, and takes no more. Idempotent.
  void Close();

 private:
  struct State;
  Napi::Object Enqueue(Napi::Env env, std::unique_ptr<Job> job);
  State* state_;
};

}  // namespace alignlab
