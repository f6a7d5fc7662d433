#include "bindings/executor.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "bindings/js_error.h"

namespace alignlab {

namespace {

// What travels to the JavaScript thread: a finished job, or news from a running one.
struct Message {
  std::unique_ptr<Job> finished;
  std::function<void(Napi::Env)> news;
};

}  // namespace

// Outlives the Executor: messages may still be queued in Node when it closes. The thread-safe
// function's finaliser deletes it.
struct Executor::State {
  static void Deliver(Napi::Env env, Napi::Function, State* state, Message* raw);
  using Channel = Napi::TypedThreadSafeFunction<State, Message, Deliver>;

  void Loop();
  bool Send(std::unique_ptr<Message> message) {
    Message* raw = message.release();
    if (channel.NonBlockingCall(raw) == napi_ok) return true;
    delete raw;
    return false;
  }

  napi_env env = nullptr;
  Channel channel;
  int unsettled = 0;  // JavaScript thread only: jobs whose promise is open

  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::unique_ptr<Job>> queue;
  std::vector<std::shared_ptr<void>> garbage;
  std::shared_ptr<CancelToken> running;
  bool closed = false;
  std::thread thread;
};

namespace {

// Joins the thread while the environment can still be left: a thread-safe function that nobody
// releases would keep a worker's environment alive for ever.
void CloseOnEnvironmentExit(void* executor) { static_cast<Executor*>(executor)->Close(); }

}  // namespace

Executor::Executor(Napi::Env env) : state_(new State) {
  State* state = state_;
  state->env = env;
  state->channel = State::Channel::New(
      env, "alignlab.executor", 0, 1, state,
      [](Napi::Env, void*, State* finished) { delete finished; }, static_cast<void*>(nullptr));
  state->channel.Unref(env);  // an idle engine does not keep the process alive
  napi_add_env_cleanup_hook(env, CloseOnEnvironmentExit, this);
  state->thread = std::thread([state] { state->Loop(); });
}

Executor::~Executor() { Close(); }

Napi::Object Executor::Enqueue(Napi::Env env, std::unique_ptr<Job> job) {
  if (!state_) throw Error("DISPOSED", "The engine of this thread has been shut down.");
  auto handle = Napi::Object::New(env);
  handle.Set("promise", job->deferred.Promise());
  handle.Set("cancel", Napi::Function::New(env, [token = job->cancel](const Napi::CallbackInfo&) {
               token->Cancel();
             }));
  if (state_->unsettled++ == 0) state_->channel.Ref(env);
  {
    std::lock_guard lock(state_->mutex);
    state_->queue.push_back(std::move(job));
  }
  state_->wake.notify_one();
  return handle;
}

void Executor::Post(std::function<void(Napi::Env)> deliver) {
  auto message = std::make_unique<Message>();
  message->news = std::move(deliver);
  state_->Send(std::move(message));
}

void Executor::Discard(std::shared_ptr<void> garbage) {
  if (!state_) return;  // closed: it goes here and now
  {
    std::lock_guard lock(state_->mutex);
    state_->garbage.push_back(std::move(garbage));
  }
  state_->wake.notify_one();
}

void Executor::State::Loop() {
  for (;;) {
    std::unique_ptr<Job> job;
    std::vector<std::shared_ptr<void>> dropped;
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [this] { return closed || !queue.empty() || !garbage.empty(); });
      dropped.swap(garbage);
      if (queue.empty()) {
        if (closed) return;
        continue;
      }
      job = std::move(queue.front());
      queue.pop_front();
      running = job->cancel;
    }
    dropped.clear();  // the job may need the room
    try {
      job->cancel->ThrowIfCancelled();
      job->Run(*job->cancel);
    } catch (...) {
      job->failure = std::current_exception();
    }
    {
      std::lock_guard lock(mutex);
      running.reset();
    }
    auto message = std::make_unique<Message>();
    message->finished = std::move(job);
    Send(std::move(message));
  }
}

void Executor::State::Deliver(Napi::Env env, Napi::Function, State* state, Message* raw) {
  std::unique_ptr<Message> message(raw);
  if (env == nullptr) return;  // the environment is going away: no JavaScript may run
  Napi::HandleScope scope(env);
  if (message->news) {
    // The façade's callbacks do not throw; if one did, Node would report it and go on.
    message->news(env);
    return;
  }
  Job& job = *message->finished;
  if (--state->unsettled == 0) state->channel.Unref(env);
  // An exception that left this function would leave the promise open for ever.
  try {
    if (job.failure) std::rethrow_exception(job.failure);
    job.deferred.Resolve(job.Result(env));
  } catch (...) {
    job.deferred.Reject(ToJsError(env, std::current_exception()).Value());
  }
}

void Executor::Close() {
  if (!state_) return;
  State* state = state_;
  napi_remove_env_cleanup_hook(state->env, CloseOnEnvironmentExit, this);
  {
    std::lock_guard lock(state->mutex);
    state->closed = true;
    if (state->running) state->running->Cancel();
    for (const auto& job : state->queue) job->cancel->Cancel();
  }
  state->wake.notify_one();
  state->thread.join();
  state_ = nullptr;
  state->channel.Release();  // its finaliser deletes the state, after the last message
}

}  // namespace alignlab
