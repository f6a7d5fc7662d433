// Who is chosen, decided anew: by another judge, or wrongly on purpose.
import type { JsonObject } from '../checkpoint/json.js';
import { type Dataset, datasetOf } from '../data/dataset.js';
import { AlignlabError } from '../errors.js';
import type { Judge, JudgedResponse } from '../judges/judge.js';
import { type LabelOptions, type LabelledPair, labelPairs } from '../sources/label.js';
import { type SampledExample, provenanceOf } from '../sources/provenance.js';
import { spoken } from '../text/dialogue.js';
import type { Encoder } from '../text/encoding.js';
import type { Example, Text, TextRecord } from '../text/example.js';
import { checkFraction, drawn, requireSome } from './lists.js';

type Preference = Extract<TextRecord, { kind: 'preference' }>;

export const judgeName = ({ name, version }: Judge): JsonObject => ({ name, version });

export { spoken };

const requirePairs = (dataset: Dataset, what: string): void => {
  if (dataset.kind === 'preference') return;
  throw new AlignlabError(
    'DATA_INVALID',
    `${what} needs pairs, and the dataset holds records of kind "${dataset.kind}".`,
  );
};

export interface RelabelOptions extends LabelOptions {
  /** Makes the token ids that judges see which score tokens. */
  readonly encoder: Encoder;
}

export interface Relabelled {
  /** Pairs with the label of the judge; the ones it could not tell and dropped ties are left out. */
  readonly dataset: Dataset;
  /** The same pairs as tokens. */
  readonly examples: readonly Example[];
  /** Pairs whose order the judge turned round. */
  readonly changed: number;
  readonly ties: number;
  readonly failed: number;
  /** Rows that the encoding left out. */
  readonly dropped: number;
}

const judgedOf = (text: Text, { tokens, truncated }: Example['responses'][number]) => ({
  text: spoken(text),
  tokens,
  truncated: truncated ?? false,
});

const swappedRecord = (record: Preference, swapped: boolean): Preference => {
  const { kind, origin, prompt, chosen, rejected } = record;
  return swapped
    ? { kind, origin, prompt, chosen: rejected, rejected: chosen }
    : { kind, origin, prompt, chosen, rejected };
};

/**
 * The pairs of a dataset as a judge would label them: D_golden of Tang et al. 2024, section 4.1.
 * Margins, which belonged to the old labels, are left out.
 */
export const relabel = async (dataset: Dataset, options: RelabelOptions): Promise<Relabelled> => {
  requirePairs(dataset, 'Relabelling');
  const { encoder, ...labelling } = options;
  const { judge, ties = 'drop', seed = 0 } = labelling;
  const records: Preference[] = [];
  const pairs = [];
  let dropped = 0;
  for await (const record of dataset) {
    if (record.kind !== 'preference') continue;
    const { example } = encoder.encode(record);
    if (!example) {
      ++dropped;
      continue;
    }
    const [first, second] = example.responses;
    const request = {
      prompt: record.prompt,
      promptTokens: example.prompt,
      first: judgedOf(record.chosen, first!),
      second: judgedOf(record.rejected, second!),
    };
    records.push(record);
    pairs.push({ example, request });
  }
  const labels = await labelPairs(pairs, labelling);
  requireSome(labels.pairs, judge.name, labels);
  const kept = labels.pairs.map(({ index, swapped }) => swappedRecord(records[index]!, swapped));
  return {
    dataset: datasetOf(kept, 'relabelled', {
      ablation: 'relabel',
      judge: judgeName(judge),
      ties,
      seed: String(seed),
      of: [dataset.describe()],
    }),
    examples: labels.pairs.map(({ example }) => example),
    changed: labels.pairs.filter(({ swapped }) => swapped).length,
    ties: labels.ties,
    failed: labels.failed,
    dropped,
  };
};

export interface RelabelExamplesOptions extends LabelOptions {
  /** Ids of a response to text, such as `encoder.decode`. */
  readonly decode: (response: Int32Array, prompt: Int32Array) => string;
  /** Ids of a prompt to text, such as `tokenizer.decode`. */
  readonly decodePrompt: (prompt: Int32Array) => string;
}

/** As `relabel`, for pairs of which only the tokens are there, such as recorded ones. */
export const relabelExamples = (
  examples: readonly Example[],
  options: RelabelExamplesOptions,
): Promise<{ pairs: readonly LabelledPair[]; ties: number; failed: number }> => {
  const { decode, decodePrompt, ...labelling } = options;
  const pairs = examples.map((example) => {
    const { prompt, responses, kind, origin } = example;
    if (kind !== 'pair') {
      throw new AlignlabError(
        'DATA_INVALID',
        `${origin} is an example of the kind "${kind}"; only pairs can be relabelled.`,
      );
    }
    const [first, second] = responses.map(({ tokens, truncated = false }): JudgedResponse => ({
      tokens,
      truncated,
      text: decode(tokens, prompt),
    }));
    const request = { prompt: decodePrompt(prompt), promptTokens: prompt };
    return { example, request: { ...request, first: first!, second: second! } };
  });
  return labelPairs(pairs, labelling);
};

export interface FlipOptions {
  /** Probability that the label of a row is turned round. */
  readonly fraction: number;
  readonly seed: number | bigint;
}

/** Chosen and rejected change places, or the label is negated; other kinds have nothing to flip. */
export const flippedExample = (example: Example): Example => {
  const { kind, label, origin, responses } = example;
  if (kind === 'pair') {
    const turned = { ...example, responses: responses.toReversed() };
    const own = provenanceOf(example);
    if (!own) return turned;
    const sampled: SampledExample = {
      ...turned,
      provenance: { ...own, samples: own.samples.toReversed() },
    };
    return sampled;
  }
  if (kind === 'completion' && label !== undefined) return { ...example, label: !label };
  throw new AlignlabError('DATA_INVALID', `${origin} has no label that could be flipped.`);
};

/** Label noise: each row's label is wrong with a probability, independently of the others. */
export const flipLabels = (
  examples: readonly Example[],
  { fraction, seed }: FlipOptions,
): Example[] => {
  checkFraction('fraction', fraction);
  return examples.map((example, place) =>
    drawn(fraction, seed, 'flip', place) ? flippedExample(example) : example,
  );
};
