// NativeModel.generate: the one call that talks back while it runs.
#include "bindings/arguments.h"
#include "bindings/js_error.h"
#include "bindings/model_object.h"

namespace alignlab {

namespace {

// The four columns of a batch of token events, as typed arrays.
void CallOnTokens(Napi::Env env, const Napi::FunctionReference& on_tokens,
                  const std::vector<TokenEvent>& events) {
  std::vector<int32_t> sequences, tokens;
  std::vector<float> logprobs, processed;
  for (const TokenEvent& e : events) {
    sequences.push_back(e.sequence);
    tokens.push_back(e.token);
    logprobs.push_back(e.logprob);
    processed.push_back(e.processed_logprob);
  }
  on_tokens.Call({ToInt32Array(env, sequences), ToInt32Array(env, tokens),
                  ToFloat32Array(env, logprobs), ToFloat32Array(env, processed)});
}

const char* NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

Napi::Array SequencesToJs(Napi::Env env, const std::vector<GeneratedSequence>& sequences) {
  auto array = Napi::Array::New(env, sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    const GeneratedSequence& s = sequences[i];
    auto o = Napi::Object::New(env);
    o.Set("tokens", ToInt32Array(env, s.tokens));
    o.Set("logProbs", ToFloat32Array(env, s.logprobs));
    o.Set("processedLogProbs", ToFloat32Array(env, s.processed_logprobs));
    o.Set("finishReason", NameOf(s.finish));
    array.Set(uint32_t(i), o);
  }
  return array;
}

}  // namespace

Napi::Value ModelObject::Generate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    auto requests = ReadGeneration(info[0].As<Napi::Object>());
    const int32_t max_batch = info[1].ToNumber();
    size_t sequences = 0;
    for (const GenerationRequest& r : requests) sequences += r.seeds.size();
    auto control = std::make_shared<GenerationControl>(sequences);
    // Made, called and destroyed on the JavaScript thread only.
    std::shared_ptr<Napi::FunctionReference> on_tokens;
    if (info[2].IsFunction())
      on_tokens =
          std::make_shared<Napi::FunctionReference>(Napi::Persistent(info[2].As<Napi::Function>()));
    Executor& executor = Engine::Of(env)->executor();
    Generator::OnTokens report;
    if (on_tokens)
      report = [&executor, on_tokens](const std::vector<TokenEvent>& events) {
        executor.Post([on_tokens, events](Napi::Env e) { CallOnTokens(e, *on_tokens, events); });
      };
    std::shared_ptr<Model> other = info[3].IsUndefined() ? nullptr : Of(info[3]);
    const float weight = other ? info[4].ToNumber().FloatValue() : 0;
    Napi::Object handle = executor.Submit(
        env,
        [model = Use(), other = std::move(other), weight, requests = std::move(requests), max_batch,
         control, report = std::move(report)](const CancelToken& cancel) mutable {
          Generator generator(*model, std::move(requests), max_batch, {other.get(), weight});
          return generator.Run(report, *control, cancel);
        },
        [](Napi::Env e, std::vector<GeneratedSequence>& result) {
          return SequencesToJs(e, result);
        });
    handle.Set("interrupt", Napi::Function::New(env, [control](const Napi::CallbackInfo& call) {
                 control->Interrupt(size_t(call[0].ToNumber().Int64Value()));
               }));
    return handle;
  });
}

}  // namespace alignlab
