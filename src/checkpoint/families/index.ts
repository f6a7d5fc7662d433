// The list of families. Adding one is a file beside this and a line here.
import type { Family } from './family.js';
import { gpt2 } from './gpt2.js';
import { gptNeox } from './gpt-neox.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

export const families: readonly Family[] = [llama, mistral, qwen2, qwen3, gpt2, gptNeox];
export { type Family, tensorsOf } from './family.js';
