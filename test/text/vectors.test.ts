// The tokenizer against ids that others published: gpt-2, the SentencePiece vocabulary of llama.
// The vectors of llama-bpe and qwen2 come without their vocabularies, so they cannot be compared.
import { join } from 'node:path';
import { referenceTest } from '../helpers/reference-files.js';
import { gpt2, llamaVectors, sentencePiece, tokenizerFiles } from './tokenizers.js';

referenceTest('gpt-2: the 47 texts of llama.cpp', async (t) => {
  const tokenizer = await gpt2(t);
  const vectors = await llamaVectors('gpt-2');
  t.is(vectors.length, 47);
  for (const { text, ids } of vectors) {
    t.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
    t.is(tokenizer.decode(ids), text);
  }
  t.is(tokenizer.size, 50257);
});

referenceTest('llama: the 47 texts of llama.cpp', async (t) => {
  const path = join(tokenizerFiles, 'gguf-vocab/ggml-vocab-llama-spm.gguf.gz');
  const tokenizer = await sentencePiece(t, path);
  const vectors = await llamaVectors('llama-spm');
  t.is(vectors.length, 47);
  for (const { text, ids } of vectors) {
    t.deepEqual([...tokenizer.encode(text)], ids, JSON.stringify(text));
    t.is(tokenizer.decode(ids), text);
  }
});
