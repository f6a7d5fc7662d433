// Enumerable policies: what the rest of the library uses of this folder.
export { exactKl, exactKlGradient, listResponses, logProbOf } from './exact.js';
export { logLinearPolicy, tabularPolicy } from './make.js';
export { EnumerablePolicy } from './policy.js';
export { ResponseSpace, noPrompt } from './space.js';
