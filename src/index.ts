// The public names.
export { AlignlabError, type ErrorCode, errorCodes } from './errors.js';
export {
  type Batch,
  type BatchOptions,
  type Segment,
  joinBatches,
  promptWithResponses,
} from './engine/batch.js';
export {
  type EngineInfo,
  type MachineLimits,
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
export { type DecodeOptions, type EncodeOptions, Tokenizer } from './text/tokenizer.js';
