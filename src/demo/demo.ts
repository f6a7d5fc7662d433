// The demo: trains a small model on the fables, samples from it and shows that its numbers are exact.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { saveFolder } from '../checkpoint/save.js';
import { engineInfo } from '../engine/device.js';
import type { Generation } from '../engine/generate.js';
import { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import { Tokenizer } from '../text/tokenizer.js';
import { packageVersion } from '../version.js';
import { fableBatches } from './batches.js';
import { type TokenizerFiles, learnTokenizer } from './bpe.js';
import { type Agreement, type Sharing, comparePromptSharing, compareWays } from './checks.js';
import { count, heading, indent, print, showProgress, style, wrap } from './display.js';
import { type Fables, longestCopiedRun, readFables } from './fables.js';
import { lossOf, modelConfig, train } from './training.js';

interface DemoOptions {
  readonly steps: number;
  readonly seed: number;
  /** Where the checkpoint goes; a checkpoint that stands there is replaced. */
  readonly out: string;
  readonly signal: AbortSignal;
}

const vocabulary = 1280; // at most: pairs that occur once are not merged
const fablesPerBatch = 4;
const endToken = 0;
const starts = ['Once a fox', 'Once there was an old turtle', 'Once there was a bear'];

const writeTokenizer = async (folder: string, files: TokenizerFiles): Promise<void> => {
  await writeFile(join(folder, 'tokenizer.json'), `${JSON.stringify(files.definition, null, 1)}\n`);
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    `${JSON.stringify(files.config, null, 2)}\n`,
  );
};

/** The tokenizer as it will be read from the checkpoint. */
const loadTokenizer = async (files: TokenizerFiles): Promise<Tokenizer> => {
  const folder = await mkdtemp(join(tmpdir(), 'alignlab-demo-'));
  try {
    await writeTokenizer(folder, files);
    return await Tokenizer.load(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** A minute's training should not end in a folder that may not be replaced. */
const checkTarget = async (folder: string): Promise<void> => {
  const names = await readdir(folder).catch((): string[] => []);
  if (names.length === 0 || names.includes('config.json')) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${folder} holds other files than a checkpoint. Choose another folder with --out.`,
  );
};

const save = (model: LanguageModel, files: TokenizerFiles, { out, signal }: DemoOptions) =>
  saveFolder(out, async (temporary) => {
    await model.save(temporary, { signal });
    await writeTokenizer(temporary, files);
  });

const showTraining = async (
  model: LanguageModel,
  tokenizer: Tokenizer,
  fables: Fables,
  { steps, seed, signal }: DemoOptions,
): Promise<void> => {
  const encode = (fable: string): Int32Array =>
    Int32Array.from([...tokenizer.encode(fable), endToken]);
  const unseen = fables.unseen.map((fable) => ({ tokens: encode(fable) }));
  const batches = fableBatches(fables.training, encode, { size: fablesPerBatch, seed });
  const before = await lossOf(model, unseen, signal);
  const progress = showProgress(steps);
  const start = performance.now();
  let [first, last] = [NaN, NaN];
  try {
    for await (const step of train(model, batches, { steps, signal })) {
      progress.update(step);
      if (step.step === 1) first = step.loss;
      last = step.loss;
    }
  } finally {
    progress.stop();
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const after = await lossOf(model, unseen, signal);
  const change = (from: number, to: number): string =>
    style('bold', `${from.toFixed(2)} → ${to.toFixed(2)}`);
  print(
    `${indent}loss ${change(first, last)} in ${seconds} s; ` +
      `on ${unseen.length} fables it never saw ${change(before, after)}`,
  );
};

const showSamples = (
  generations: readonly Generation[],
  tokenizer: Tokenizer,
  { training }: Fables,
): void => {
  generations.forEach((generation, index) => {
    const text = `${starts[index] ?? ''}${tokenizer.decode(generation.tokens)}`;
    const copied = longestCopiedRun(text, training);
    print(`${index > 0 ? '\n' : ''}${wrap(text)}`);
    print(style('dim', `${indent}(at most ${copied} words in a row are from one of the fables)`));
  });
};

const agreementText = ({ equal, of }: Agreement): string =>
  equal === of
    ? style('green', `${count(equal)} of ${count(of)} equal`)
    : style('red', `only ${count(equal)} of ${count(of)} equal`);

const showSharing = (sharing: Sharing): void => {
  const { separate, shared, agreement } = sharing;
  const line = (name: string, { tokens, seconds }: Sharing['shared']): string =>
    `${indent}${name.padEnd(32)}${count(tokens).padStart(6)} tokens` +
    `${(1000 * seconds).toFixed(1).padStart(8)} ms`;
  print(line('a copy of the prompt for each', separate));
  print(line('one prompt for all', shared));
  const factor = (separate.seconds / shared.seconds).toFixed(1);
  print(
    `${indent}${style('bold', `${factor} times as fast`)}, log-probs: ${agreementText(agreement)}`,
  );
};

const showNext = (out: string): void => {
  // From the sources, as npm start runs it, or from the installed package.
  const command = import.meta.url.endsWith('.ts')
    ? 'npm run ts -- src/cli/main.ts'
    : 'npx alignlab';
  print(`\nSaved as a Hugging Face checkpoint in ${style('bold', out)}. Next:`);
  print(`${indent}${command} generate --model ${out} --prompt "Once there was a wolf"`);
  print(`${indent}${command} inspect ${out}`);
};

/** True when every comparison held to the bit. */
export const runDemo = async (options: DemoOptions): Promise<boolean> => {
  const { seed, signal } = options;
  await checkTarget(options.out);
  const { instructionSet, threads } = engineInfo();
  const fables = await readFables();
  const files = learnTokenizer(fables.training.join('\n'), vocabulary);
  const tokenizer = await loadTokenizer(files);
  await using model = await LanguageModel.create(modelConfig(files.size), { seed, signal });
  const { width, layers } = model.shape;

  print(
    style(
      'dim',
      `alignlab ${packageVersion}, ${instructionSet}, ${threads} thread${threads === 1 ? '' : 's'}`,
    ),
  );
  heading(
    `Training: a llama of ${layers} layers, width ${width}, from random weights ` +
      `on ${fables.training.length} short fables`,
  );
  await showTraining(model, tokenizer, fables, options);
  await save(model, files, options);

  heading('Sampling: three fables of its own');
  const prompts = starts.map((start) => tokenizer.encode(start));
  const sampling = { maxNewTokens: 200, stopTokens: [endToken], seed, signal };
  const samples = await model.generate(prompts, { ...sampling, temperature: 0.6, topP: 0.95 });
  showSamples(samples, tokenizer, fables);

  heading('Exactness: log-probs of 8 samples as the sampler gave them, to the bit, against');
  const [prompt = new Int32Array()] = prompts;
  const answers = await model.generate([prompt], { ...sampling, samples: 8 });
  const agreements = await compareWays(model, prompt, answers, options.out);
  for (const row of agreements) print(`${indent}${row.way.padEnd(32)}${agreementText(row)}`);
  signal.throwIfAborted();

  const fewShot = tokenizer.encode(fables.training.slice(0, 3).join('\n'));
  const responses = answers.map(({ tokens }) => tokens.subarray(0, 32));
  const sharing = await comparePromptSharing(model, fewShot, responses);
  heading(
    `Prompt sharing: ${sharing.responses} responses to one prompt of ` +
      `${sharing.promptTokens} tokens, scored`,
  );
  showSharing(sharing);
  showNext(options.out);
  return [...agreements, sharing.agreement].every(({ equal, of }) => equal === of);
};
