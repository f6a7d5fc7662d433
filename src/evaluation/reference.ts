// Compares a checkpoint on this engine with reference values that another implementation wrote
// beside it: expected.safetensors (tokens, log-probs, entropies, gradients, one AdamW step, greedy
// tokens) and expected.json (settings). What a folder does not hold is not compared.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readJsonFile } from '../checkpoint/json.js';
import { openSafetensors, type SafetensorsFile } from '../checkpoint/safetensors.js';
import { readTensor } from '../checkpoint/tensor-data.js';
import { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';

export interface Comparison {
  readonly quantity: string;
  /** Largest error found, in the unit of `tolerance`. */
  readonly error: number;
  readonly tolerance: number;
  readonly unit: string;
  /** Where the largest error is. */
  readonly where: string;
  readonly passes: boolean;
}

interface AdamWReference {
  readonly learning_rate: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly weight_decay: number;
  readonly max_grad_norm: number;
}

interface Reference {
  readonly file: SafetensorsFile;
  readonly settings: {
    readonly adamw?: AdamWReference;
    readonly grad_norm?: number;
    readonly prompt_lengths?: Readonly<Record<string, number>>;
    readonly prompt_length?: number;
  };
}

/** f32 sums of different order; log-probs of both implementations are good to about 1e-5. */
const logProbTolerance = 1e-4;
/** Of a tensor's gradient, in Euclidean norm: errors of the forward pass are carried back. */
const gradientTolerance = 1e-3;

const floats = async ({ file }: Reference, name: string): Promise<Float32Array> =>
  Float32Array.from(await readTensor(file, name), Number);
const ints = async ({ file }: Reference, name: string): Promise<Int32Array> =>
  Int32Array.from(await readTensor(file, name), Number);

const comparison = (
  quantity: string,
  error: number,
  tolerance: number,
  unit: string,
  where: string,
): Comparison => ({ quantity, error, tolerance, unit, where, passes: error <= tolerance });

const largestDifference = (
  a: Float32Array,
  b: Float32Array,
): { readonly error: number; readonly at: number } => {
  let error = a.length === b.length ? 0 : Infinity;
  let at = 0;
  a.forEach((value, i) => {
    const difference = Math.abs(value - (b[i] ?? NaN));
    // Written so that NaN is taken, and then kept.
    if (!(difference <= error) && !Number.isNaN(error)) [error, at] = [difference, i];
  });
  return { error, at };
};

const norm = (x: Float32Array): number => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));

const relativeError = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity;
  const difference = norm(a.map((value, i) => value - (b[i] ?? NaN)));
  return difference === 0 ? 0 : difference / norm(b);
};

/**
 * The first AdamW update is lr g / (|g| + eps): where the gradient is smaller than its own error
 * the update is anything from -lr to lr. An element may be off by what an error of 1e-3 of the
 * tensor's mean gradient makes of it, and by two roundings of the weight.
 */
const adamWError = (
  ours: Float32Array,
  theirs: Float32Array,
  gradient: Float32Array,
  learningRate: number,
): { readonly error: number; readonly at: number } => {
  const mean = norm(gradient) / Math.sqrt(gradient.length);
  let error = ours.length === theirs.length ? 0 : Infinity;
  let at = 0;
  ours.forEach((value, i) => {
    const expected = theirs[i] ?? NaN;
    const gradientError = (gradientTolerance * mean) / Math.abs(gradient[i] ?? 0);
    const allowed =
      learningRate * 2 * Math.min(1, gradientError || 1) + Math.abs(expected) * 2.4e-7 + 1e-9;
    const ratio = Math.abs(value - expected) / allowed;
    if (!(ratio <= error) && !Number.isNaN(error)) [error, at] = [ratio, i];
  });
  return { error, at };
};

/** Reference values may name the head as another version of the family does. */
const finder = (names: Iterable<string>, aliases: readonly string[]) => {
  const known = new Set(names);
  return (name: string): string =>
    known.has(name) || !aliases.includes(name)
      ? name
      : (aliases.find((alias) => known.has(alias)) ?? name);
};

const openReference = async (folder: string): Promise<Reference> => {
  const file = await openSafetensors(join(folder, 'expected.safetensors'));
  const json = await readJsonFile(join(folder, 'expected.json'), 'CHECKPOINT_INVALID');
  for (const name of ['tokens', 'offsets', 'logprobs']) {
    if (file.tensors.has(name)) continue;
    throw new AlignlabError(
      'CHECKPOINT_INVALID',
      `${file.path} has no tensor "${name}". Give a folder of reference values.`,
    );
  }
  return { file, settings: json?.value ?? {} };
};

const sequencesOf = async (reference: Reference): Promise<Int32Array[]> => {
  const tokens = await ints(reference, 'tokens');
  const offsets = await ints(reference, 'offsets');
  return Array.from({ length: offsets.length - 1 }, (_, i) =>
    tokens.slice(offsets[i], offsets[i + 1]),
  );
};

const compareForward = async (
  model: LanguageModel,
  reference: Reference,
  sequences: readonly Int32Array[],
): Promise<Comparison[]> => {
  const withEntropy = reference.file.tensors.has('entropies');
  const batch = sequences.map((tokens) => ({ tokens }));
  using pass = await model.forward(batch, { entropy: withEntropy });
  const rows: Comparison[] = [];
  const compare = (quantity: string, ours: Float32Array, theirs: Float32Array): void => {
    const { error, at } = largestDifference(ours, theirs);
    rows.push(comparison(quantity, error, logProbTolerance, 'nats', `token ${at}`));
  };
  compare('log-probs', pass.logProbs, await floats(reference, 'logprobs'));
  if (withEntropy) compare('entropies', pass.entropies, await floats(reference, 'entropies'));
  if (reference.file.tensors.has('coefficients')) {
    const entropies = withEntropy && reference.file.tensors.has('entropy_coefficients');
    await pass.backward({
      logProbs: await floats(reference, 'coefficients'),
      ...(entropies ? { entropies: await floats(reference, 'entropy_coefficients') } : {}),
    });
  }
  return rows;
};

const namesWith = ({ file }: Reference, prefix: string): string[] =>
  [...file.tensors.keys()].filter((name) => name.startsWith(prefix));

const compareGradients = async (
  model: LanguageModel,
  reference: Reference,
  scratch: string,
): Promise<Comparison[]> => {
  const names = namesWith(reference, 'grad.');
  if (names.length === 0) return [];
  const path = join(scratch, 'gradients.safetensors');
  await model.saveGradients(path);
  const ours = await openSafetensors(path);
  const find = finder(ours.tensors.keys(), model.headNames);
  const rows: Comparison[] = [];
  for (const name of names) {
    const parameter = name.slice('grad.'.length);
    const error = relativeError(
      Float32Array.from(await readTensor(ours, find(parameter)), Number),
      await floats(reference, name),
    );
    rows.push(comparison(`gradient of ${parameter}`, error, gradientTolerance, 'relative', ''));
  }
  const expected = reference.settings.grad_norm;
  if (expected !== undefined) {
    const error = Math.abs((await model.gradNorm()) / expected - 1);
    rows.push(comparison('gradient norm', error, gradientTolerance, 'relative', ''));
  }
  return rows;
};

const compareAdamW = async (
  model: LanguageModel,
  reference: Reference,
  scratch: string,
): Promise<Comparison[]> => {
  const { adamw } = reference.settings;
  const names = namesWith(reference, 'adamw.');
  if (!adamw || names.length === 0) return [];
  await model.step({
    learningRate: adamw.learning_rate,
    betas: adamw.betas,
    epsilon: adamw.epsilon,
    weightDecay: adamw.weight_decay,
    maxGradNorm: adamw.max_grad_norm,
    noDecay: 'none',
  });
  const folder = join(scratch, 'stepped');
  await model.save(folder, { dtype: 'F32', maxShardBytes: Infinity });
  const ours = await openSafetensors(join(folder, 'model.safetensors'));
  const find = finder(ours.tensors.keys(), model.headNames);
  const rows: Comparison[] = [];
  for (const name of names) {
    const parameter = name.slice('adamw.'.length);
    const { error, at } = adamWError(
      Float32Array.from(await readTensor(ours, find(parameter)), Number),
      await floats(reference, name),
      await floats(reference, `grad.${parameter}`),
      adamw.learning_rate,
    );
    rows.push(comparison(`AdamW step of ${parameter}`, error, 1, 'of allowed', `element ${at}`));
  }
  return rows;
};

const compareGreedy = async (
  model: LanguageModel,
  reference: Reference,
  sequences: readonly Int32Array[],
): Promise<Comparison[]> => {
  const { prompt_lengths: lengths, prompt_length: length } = reference.settings;
  const rows: Comparison[] = [];
  for (const name of namesWith(reference, 'greedy.')) {
    const index = name.slice('greedy.'.length);
    const sequence = sequences[Number(index)] ?? new Int32Array();
    const expected = await ints(reference, name);
    const [result] = await model.generate([sequence.slice(0, lengths?.[index] ?? length ?? 1)], {
      temperature: 0,
      maxNewTokens: expected.length,
      stopTokens: [],
    });
    const differing = expected.findIndex((token, i) => token !== result?.tokens[i]);
    const wrong = differing < 0 ? 0 : expected.length - differing;
    const where = differing < 0 ? '' : `from token ${differing}`;
    rows.push(comparison(`greedy tokens ${index}`, wrong, 0, 'tokens', where));
  }
  return rows;
};

/**
 * @param folder holds expected.safetensors and expected.json
 * @param modelFolder the checkpoint; default the same folder
 * @returns one row per quantity and per tensor, worst first within gradients and AdamW
 */
export const compareWithReference = async (
  folder: string,
  modelFolder: string = folder,
): Promise<Comparison[]> => {
  const reference = await openReference(folder);
  const sequences = await sequencesOf(reference);
  const scratch = await mkdtemp(join(tmpdir(), 'alignlab-verify-'));
  try {
    await using model = await LanguageModel.load(modelFolder, { dtype: 'f32' });
    const greedy = await compareGreedy(model, reference, sequences);
    const forward = await compareForward(model, reference, sequences);
    const gradients = await compareGradients(model, reference, scratch);
    const adamw = await compareAdamW(model, reference, scratch);
    const worstFirst = (a: Comparison, b: Comparison): number => b.error - a.error;
    return [...forward, ...gradients.sort(worstFirst), ...adamw.sort(worstFirst), ...greedy];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};
