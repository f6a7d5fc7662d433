// Datasets whose responses come from models: policy snapshot A against policy snapshot B, or against
// the responses of the data, labelled by a judge (Tang et al. 2024, section 5.2: both from the final
// online policy, judged by the golden preference model).
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import { type Dataset, datasetOf } from '../data/dataset.js';
import { derivedSeed } from '../data/random.js';
import type { LanguageModel } from '../engine/model.js';
import { AlignlabError } from '../errors.js';
import type { Judge } from '../judges/judge.js';
import { labelPairs } from '../sources/label.js';
import type { TiePolicy } from '../sources/on-policy-pairs.js';
import { type PolicyPrompt, promptOf } from '../sources/prompts.js';
import type { SampledExample } from '../sources/provenance.js';
import { type PolicySampling, type Sample, PolicySampler } from '../sources/sampler.js';
import { recordedSampling } from '../sources/sampling-bias.js';
import { spoken } from '../text/dialogue.js';
import type { Encoder } from '../text/encoding.js';
import type { Example, Text, TextRecord } from '../text/example.js';
import { batchesOf, optionError, requireSome } from './lists.js';
import { judgeName } from './relabel.js';

export interface Snapshot {
  readonly model: LanguageModel;
  /** In provenance. */
  readonly name: string;
  /** Optimiser steps that its weights had. Default 0. */
  readonly step?: number;
}

/** Where the responses of one side come from. */
export type Side = Snapshot | 'chosen' | 'rejected';

export interface RegenerateOptions {
  readonly encoder: Encoder;
  readonly first: Side;
  readonly second: Side;
  /** Without one the first is chosen, as in SPIN, where the data beat the policy. */
  readonly judge?: Judge;
  /** Default 'drop'. */
  readonly ties?: TiePolicy;
  readonly sampling?: PolicySampling;
  /** Default 0. */
  readonly seed?: number | bigint;
  /** Prompts sampled at once; does not change what is drawn. Default 64. */
  readonly promptsAtOnce?: number;
  readonly signal?: AbortSignal;
}

export interface Regenerated {
  readonly dataset: Dataset;
  /** The same pairs, as the tokens that were drawn. */
  readonly examples: readonly SampledExample[];
  readonly ties: number;
  readonly failed: number;
  /** Rows that the encoding left out. */
  readonly dropped: number;
}

interface Prepared {
  readonly record: TextRecord;
  readonly prompt: PolicyPrompt;
  /** The pair of the data, where a side asks for it. */
  readonly example: Example | null;
}

interface Answer {
  readonly sample: Sample;
  readonly text: string;
}

const isSnapshot = (side: Side): side is Snapshot => typeof side !== 'string';

const prepare = (record: TextRecord, encoder: Encoder, ofData: boolean): Prepared | null => {
  if (!ofData) {
    const prompt = promptOf(record, encoder);
    return prompt && { record, prompt, example: null };
  }
  if (record.kind !== 'preference') {
    throw new AlignlabError(
      'DATA_INVALID',
      `${record.origin} is of kind "${record.kind}" and has no chosen and rejected responses. Give ` +
        'pairs, or sample both sides from models.',
    );
  }
  const { example } = encoder.encode(record);
  if (!example) return null;
  const prompt = { tokens: example.prompt, text: record.prompt, origin: record.origin };
  return { record, prompt, example };
};

/** Answers of one side to all prompts. Each side has random streams of its own. */
const answers = async (
  side: Side,
  number: number,
  prepared: readonly Prepared[],
  options: RegenerateOptions,
): Promise<Answer[]> => {
  const { encoder, sampling = {}, seed = 0, promptsAtOnce = 64, signal } = options;
  if (!isSnapshot(side)) {
    return prepared.map(({ record, example }) => {
      const { tokens, truncated = false } = example!.responses[side === 'chosen' ? 0 : 1]!;
      const text = spoken(record.kind === 'preference' ? record[side] : '');
      const generator = { id: `data:${side}`, step: 0 };
      const behaviour = new Float32Array(0);
      return { text, sample: { tokens, behaviour, truncated, seed: '', generator } };
    });
  }
  const { model, name, step = 0 } = side;
  const sampler = new PolicySampler({
    policy: model,
    policyName: name,
    sampling,
    // Two sides of the same seed would draw the same numbers, and equal models the same responses.
    seed: derivedSeed(seed, 'regenerate', number),
    allowBiasedSampling: true, // of data; what it was sampled with is recorded
  });
  const found: Answer[] = [];
  for (const part of batchesOf(prepared, promptsAtOnce)) {
    const prompts = part.map(({ prompt }) => prompt);
    const context = { step, ...(signal ? { signal } : {}) };
    const groups = await sampler.draw(prompts, found.length, 1, context);
    for (const [i, [sample]] of groups.entries()) {
      found.push({ sample: sample!, text: encoder.decode(sample!.tokens, prompts[i]!.tokens) });
    }
  }
  return found;
};

type Settings = Readonly<Record<string, JsonValue>>;

/** What each model sampled with, by its name. */
const settingsOf = ({ first, second, sampling = {}, seed = 0 }: RegenerateOptions): Settings => ({
  seed: String(seed),
  ...Object.fromEntries(
    [first, second]
      .filter(isSnapshot)
      .map(({ model, name }) => [name, recordedSampling(sampling, model.endTokens)]),
  ),
});

const described = (options: RegenerateOptions): JsonObject => {
  const { first, second, judge, ties = 'drop' } = options;
  return {
    ablation: 'regenerate',
    sides: [first, second].map((side) =>
      isSnapshot(side) ? { name: side.name, step: side.step ?? 0 } : side,
    ),
    judge: judge ? judgeName(judge) : null,
    ties,
    sampling: settingsOf(options),
  };
};

const responseOf = ({ sample }: Answer): Example['responses'][number] => {
  const { tokens, behaviour, truncated } = sample;
  return { tokens, truncated, ...(behaviour.length > 0 ? { behaviour } : {}) };
};

const textLike = (prompt: Text, text: string): Text =>
  typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }];

/** Which pairs stay, and in which order: without a judge all, the first first. */
const labelled = async (
  prepared: readonly Prepared[],
  sides: readonly (readonly Answer[])[],
  { judge, ties = 'drop', seed = 0, signal }: RegenerateOptions,
) => {
  if (!judge) {
    const pairs = prepared.map((_, index) => ({ index, swapped: false, preference: undefined }));
    return { pairs, ties: 0, failed: 0 };
  }
  const pairs = prepared.map(({ prompt }, i) => {
    const [first, second] = sides.map((side) => side[i]!);
    const judgedOf = ({ sample: { tokens, truncated }, text }: Answer) => ({
      tokens,
      truncated,
      text,
    });
    return {
      example: { kind: 'pair', prompt: prompt.tokens, responses: [], origin: '' } as const,
      request: {
        prompt: prompt.text,
        promptTokens: prompt.tokens,
        ...(prompt.columns ? { columns: prompt.columns } : {}),
        first: judgedOf(first!),
        second: judgedOf(second!),
      },
    };
  });
  return labelPairs(pairs, { judge, ties, seed, ...(signal ? { signal } : {}) });
};

interface Labelled {
  readonly index: number;
  readonly swapped: boolean;
  /** P(the first side's response is better); without a judge undefined. */
  readonly preference: number | undefined;
}

const exampleOf = (
  { record, prompt }: Prepared,
  answered: readonly [Answer, Answer],
  { index, swapped, preference }: Labelled,
  options: RegenerateOptions,
): SampledExample => {
  const { judge } = options;
  const order = swapped ? ([1, 0] as const) : ([0, 1] as const);
  return {
    kind: 'pair',
    prompt: prompt.tokens,
    responses: order.map((side) => responseOf(answered[side])),
    origin: record.origin,
    provenance: {
      outcome: 'delivered',
      tie: preference === 0.5,
      draw: index,
      sampling: settingsOf(options),
      ...(judge ? { judge: { name: judge.name, version: judge.version } } : {}),
      ...(preference === undefined ? {} : { verdicts: [{ samples: [0, 1], preference }] }),
      promptText: prompt.text,
      samples: order.map((side) => {
        const { sample, text } = answered[side];
        const { generator, seed, processed } = sample;
        return { generator, sample: side, seed, ...(processed ? { processed } : {}), text };
      }),
    },
  };
};

const recordOf = (
  { record, prompt }: Prepared,
  answered: readonly [Answer, Answer],
  { swapped }: Labelled,
): TextRecord => {
  const [first, second] = answered.map(({ text }) => textLike(prompt.text, text));
  const [chosen, rejected] = swapped ? [second!, first!] : [first!, second!];
  return { kind: 'preference', origin: record.origin, prompt: prompt.text, chosen, rejected };
};

/**
 * One pair for each record, from its prompt; a model answers with one sample. The texts are a view:
 * what was drawn are the tokens of the examples.
 */
export const regenerate = async (
  dataset: Dataset,
  options: RegenerateOptions,
): Promise<Regenerated> => {
  const { encoder, first, second } = options;
  if (!isSnapshot(first) && !isSnapshot(second)) {
    throw optionError('One side must be a model; relabel() judges the responses of the data.');
  }
  const ofData = !isSnapshot(first) || !isSnapshot(second);
  const prepared: Prepared[] = [];
  let dropped = 0;
  for await (const record of dataset) {
    const found = prepare(record, encoder, ofData);
    if (found) prepared.push(found);
    else ++dropped;
  }
  const [firsts, seconds] = [
    await answers(first, 1, prepared, options),
    await answers(second, 2, prepared, options),
  ];
  const labels = await labelled(prepared, [firsts, seconds], options);
  requireSome(labels.pairs, options.judge?.name ?? 'none', labels);
  const pairs = labels.pairs.map((label) => {
    const answered = [firsts[label.index]!, seconds[label.index]!] as const;
    const own = prepared[label.index]!;
    return {
      example: exampleOf(own, answered, label, options),
      record: recordOf(own, answered, label),
    };
  });
  const made = { ...described(options), of: [dataset.describe()] };
  return {
    dataset: datasetOf(
      pairs.map(({ record }) => record),
      'regenerated',
      made,
    ),
    examples: pairs.map(({ example }) => example),
    ties: labels.ties,
    failed: labels.failed,
    dropped,
  };
};
