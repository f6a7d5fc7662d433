// Enumerable policies: what the rest of the library uses of this folder.
export {
  type ListedResponse,
  exactKl,
  exactKlGradient,
  klToGo,
  listResponses,
  logProbOf,
} from './exact.js';
export type { Features } from './parameters.js';
export { type Logits, type PolicyOptions, logLinearPolicy, tabularPolicy } from './make.js';
export { EnumerablePolicy } from './policy.js';
export { type ResponsePath, ResponseSpace, noPrompt } from './space.js';
