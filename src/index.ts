// The public names.
export { AlignlabError, type ErrorCode, errorCodes } from './errors.js';
// The engine.
export {
  type Batch,
  type BatchOptions,
  type Segment,
  joinBatches,
  promptWithResponses,
} from './engine/batch.js';
export {
  type CudaInfo,
  type Device,
  type EngineInfo,
  type MachineLimits,
  cudaInfo,
  engineInfo,
  measureLimits,
  setMemoryLimit,
  setThreads,
} from './engine/device.js';
export type { Coefficients, ForwardPass } from './engine/forward-pass.js';
export type {
  FinishReason,
  Generation,
  Prompt,
  SamplingOptions,
  TokenEvent,
} from './engine/generate.js';
export type { CreateOptions, Dtype, LoadOptions, ModelOptions } from './engine/load.js';
export { type ForwardOptions, LanguageModel, type ScoreOptions } from './engine/model.js';
export type { MemoryEstimate } from './engine/native.js';
export type { AdamWOptions } from './engine/optimizer.js';
export type { SaveOptions } from './engine/persistence.js';
export type { Scores } from './engine/scores.js';
export type { TokenStream } from './engine/token-stream.js';
// Text to token ids.
export { ChatTemplate } from './text/chat-template.js';
export { ComparisonEncoder, type ComparisonOptions } from './text/comparison.js';
export { Encoder, type EncodingCounts, type EncodingOptions } from './text/encoding.js';
export type { Example, Message, Response, Text, TextRecord } from './text/example.js';
export { type DecodeOptions, type EncodeOptions, Tokenizer } from './text/tokenizer.js';
// Datasets.
export { toCompletions, toPrompts, toUnpaired } from './data/convert.js';
export type { Dataset } from './data/dataset.js';
export { type DatasetSpec, openDataset } from './data/open.js';
export { shuffle, split, subsample } from './data/order.js';
export { random, shuffled } from './data/random.js';
// Objectives: each makes an Objective from its options, as ipo({ beta: 0.1 }).
export * from './objectives/public.js';
// Judges.
export { toTrainGoldenPolicy } from './judges/checked.js';
export { majorityJudge, rewardToPair, sumJudge } from './judges/combine.js';
export { endpointJudge, endpointScoreJudge } from './judges/endpoint.js';
export { functionJudge, functionPairJudge } from './judges/function-judge.js';
export type {
  CompareRequest,
  Judge,
  PairJudge,
  RewardJudge,
  ScoreRequest,
  Verdict,
} from './judges/judge.js';
export { preferenceModelJudge } from './judges/preference-model.js';
export { rewardModelJudge } from './judges/reward-model.js';
export { ruleJudge } from './judges/rules.js';
// Sources of experience.
export { datasetPairs, datasetSource } from './sources/dataset.js';
export { ExperienceLog, recording } from './sources/experience-log.js';
export { labelPairs } from './sources/label.js';
export { hybrid, mixture } from './sources/mixture.js';
export { onPolicyGroups } from './sources/on-policy.js';
export { onPolicyPairs } from './sources/on-policy-pairs.js';
export { type PolicyPrompt, promptOf } from './sources/prompts.js';
export { replay } from './sources/replay.js';
export type { Source, SourceContext } from './sources/source.js';
// Training.
export { EarlyStop } from './training/early-stop.js';
export type { Critic } from './training/learner.js';
export { adamW } from './training/optimizer.js';
export type { EvaluationContext, TrainOptions } from './training/options.js';
export { type Reference, cachedReference, hashFolder, hashModel } from './training/reference.js';
export type { Recorder, TrainState, TrainStep } from './training/run.js';
export { RunFolder } from './training/run-folder.js';
export { train } from './training/train.js';
// Trust in a proxy judge.
export { type TrustedOptions, trusted } from './trust/trusted.js';
// Studies.
export {
  type Recipe,
  type RecipeChanges,
  type RecipeFiles,
  type StudyOutcome,
  type StudyRunOptions,
  experimentIds,
  performanceGap,
  recipeOf,
  recipeOfFiles,
} from './studies/performance-gap/index.js';
// Policies over responses that can be listed, and measures of coverage.
export {
  EnumerablePolicy,
  ResponseSpace,
  exactKl,
  logLinearPolicy,
  noPrompt,
  tabularPolicy,
} from './policies/index.js';
export {
  klBall,
  klBesideData,
  massOutside,
  maxRatio,
  offlineLogRatio,
  supportOf,
} from './evaluation/coverage.js';
export type { PolicyModel } from './engine/policy-model.js';
// Evaluation.
export { bestOfNCurve, bestOfNKl, measureBestOfN } from './evaluation/best-of-n.js';
export { classifyPairs, selfClassification } from './evaluation/classification.js';
export { compareFrontiers, peak, upperEnvelope } from './evaluation/frontier.js';
export { klOfSamples, measureKl } from './evaluation/kl.js';
export { fitLaw, lawPeak } from './evaluation/overoptimization.js';
export { perplexity } from './evaluation/perplexity.js';
export { bootstrapInterval, estimate, wilsonInterval } from './evaluation/statistics.js';
export { compareResponses, winRate } from './evaluation/win-rate.js';
