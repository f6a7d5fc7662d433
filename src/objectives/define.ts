// Makes an entry of the list from what is particular to an objective; checks what all have in
// common: options, kinds of row, and that a row carries what the objective asked for.
import { AlignlabError } from '../errors.js';
import type { Evaluation, Mean, Objective, ObjectiveEntry, Row, Sequence } from './objective.js';
import {
  resolveOptions,
  type GivenOptions,
  type OptionSpecs,
  type OptionValues,
} from './options.js';
import { evaluateWeighted, weightProblem } from './weights.js';

export interface Definition<S extends OptionSpecs> {
  readonly name: string;
  readonly title: string;
  readonly paper: string;
  readonly source: ObjectiveEntry['source'];
  readonly options: S;
  /** `options` in the result: only where some of them follow from others. */
  make(options: OptionValues<S>): Omit<Objective, 'name' | 'options'> & {
    readonly options?: Objective['options'];
  };
}

/** An array over the response's tokens that the objective needs, by its name in `Needs`. */
const tokenArrays = {
  reference: 'reference',
  entropies: 'entropies',
  exactKl: 'exactKl',
  values: 'values',
} as const;

const refuse = (row: number, problem: string): AlignlabError =>
  new AlignlabError('DATA_INVALID', `Row ${row} ${problem}`);

const checkSequence = (objective: Objective, sequence: Sequence, place: string): string | null => {
  const { needs, name } = objective;
  if (needs.scores) {
    return sequence.score === undefined
      ? `has no score of ${place}. Use a model with a scalar head for ${name}.`
      : null;
  }
  const tokens = sequence.logProbs.length;
  if (tokens === 0) return `has no tokens in ${place}. Leave such rows out.`;
  for (const [need, array] of Object.entries(tokenArrays)) {
    if (!needs[need as keyof typeof tokenArrays]) continue;
    const found = sequence[array]?.length;
    if (found !== tokens) {
      return `has ${found ?? 'no'} ${array} for the ${tokens} tokens of ${place}. ${name} needs them.`;
    }
  }
  return null;
};

const sequencesOfKind = { pair: 2, completion: 1, group: undefined } as const;

const checkRow = (objective: Objective, row: Row, index: number): void => {
  const { name, rows, needs } = objective;
  if (!rows.includes(row.kind)) {
    throw refuse(index, `is a ${row.kind}; ${name} takes ${rows.join(' or ')} rows only.`);
  }
  const count = sequencesOfKind[row.kind];
  if (row.sequences.length !== (count ?? row.sequences.length) || row.sequences.length === 0) {
    throw refuse(
      index,
      `has ${row.sequences.length} responses; a ${row.kind} has ${count ?? 'some'}.`,
    );
  }
  const ofWeight = weightProblem(row);
  if (ofWeight) throw refuse(index, ofWeight);
  if (needs.mismatched && !row.mismatched) {
    throw refuse(
      index,
      `lacks the log-probabilities of a mismatched response, which ${name} needs.`,
    );
  }
  if (needs.promptLogProbs && !row.sequences[0]?.promptLogProbs) {
    throw refuse(index, `lacks the prompt's log-probabilities, which ${name} needs.`);
  }
  row.sequences.forEach((sequence, s) => {
    const problem = checkSequence(objective, sequence, `response ${s}`);
    if (problem) throw refuse(index, problem);
  });
};

/** Mean entropy of the policy over all response tokens, where the rows have it. */
const entropy = (rows: readonly Row[]): Mean | null => {
  let sum = 0;
  let weight = 0;
  for (const row of rows) {
    for (const { entropies } of row.sequences) {
      for (const value of entropies ?? []) sum += value;
      weight += entropies?.length ?? 0;
    }
  }
  return weight === 0 ? null : { sum, weight };
};

/** Where samples come beside pairs of a dataset, the metric is of the pairs, as without samples. */
const withEntropy = (
  { rows: kinds }: Objective,
  rows: readonly Row[],
  evaluation: Evaluation,
): Evaluation => {
  const mean = entropy(kinds.length > 1 ? rows.filter(({ kind }) => kind !== 'group') : rows);
  return mean ? { ...evaluation, metrics: { ...evaluation.metrics, entropy: mean } } : evaluation;
};

/**
 * An entry that knows its own options, so that editors offer them. What comes from outside, whose
 * type nobody knows, is taken too: `make` checks it.
 */
export interface TypedEntry<S extends OptionSpecs> extends ObjectiveEntry {
  readonly options: S;
  make(options?: Partial<OptionValues<S>> | GivenOptions): Objective;
  /** As make, for options that are written down in code: ipo({ beta: 0.1 }). */
  (options?: Partial<OptionValues<S>>): Objective;
}

export const defineObjective = <const S extends OptionSpecs>(
  definition: Definition<S>,
): TypedEntry<S> => {
  const { name, title, paper, source } = definition;
  const make = (given?: GivenOptions): Objective => {
    const options = resolveOptions(name, definition.options, given);
    const objective: Objective = { options, ...definition.make(options), name };
    return {
      ...objective,
      evaluate: (rows, totals) => {
        rows.forEach((row, index) => {
          checkRow(objective, row, index);
        });
        return withEntropy(objective, rows, evaluateWeighted(objective, rows, totals));
      },
    };
  };
  const entry = Object.assign(make, { title, paper, source, options: definition.options, make });
  // A function's name is not writable, but it can be defined anew.
  return Object.defineProperty(entry, 'name', { value: name, enumerable: true });
};
