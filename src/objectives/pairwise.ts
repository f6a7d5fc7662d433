// The frame of every loss on preference pairs: a new one states its formula and its derivative by
// the two summed log-probabilities; sums, means, spreading over tokens and metrics are done here.
import { AlignlabError } from '../errors.js';
import { defineObjective, type TypedEntry } from './define.js';
import { sumOf } from './math.js';
import type {
  Mean,
  Objective,
  OptionSpec,
  Row,
  Sequence,
  SequenceGradient,
  Totals,
} from './objective.js';
import type { OptionSpecs, OptionValues } from './options.js';
import { weightOf } from './weights.js';

/** One response of a pair, summed over its tokens in double. */
export interface Side {
  /** log pi(y|x). */
  readonly sum: number;
  /** log pi(y|x) / length. */
  readonly mean: number;
  /** Tokens of the response. */
  readonly length: number;
  /** log pi(y|x) - log pi_ref(y|x); equal to `sum` for a loss without a reference. */
  readonly logRatio: number;
  /** log pi_ref(y|x); 0 for a loss without a reference. */
  readonly reference: number;
}

export interface Pair {
  readonly chosen: Side;
  readonly rejected: Side;
  /** How many pairs it counts as; 1 but for `losses`. */
  readonly weight: number;
}

/** The loss of one pair and its derivatives by `chosen.sum` and `rejected.sum`. */
export interface PairLoss {
  readonly loss: number;
  readonly dChosen: number;
  readonly dRejected: number;
  /** Logged as means over pairs. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** A further term: weight times the mean of -log p over the tokens of the chosen responses. */
export interface NegativeLogLikelihood {
  readonly weight: number;
  /** 'sequence' counts the prompt's tokens too. */
  readonly over: 'response' | 'sequence';
}

export interface PairwiseDefinition<S extends OptionSpecs> {
  readonly name: string;
  readonly title?: string;
  readonly paper?: string;
  readonly options: S;
  /** Does it compare with a reference policy? Default true. */
  readonly reference?: boolean | ((options: OptionValues<S>) => boolean);
  /** Loss of one pair; the objective's loss is the mean over pairs. */
  loss?(pair: Pair, options: OptionValues<S>): PairLoss;
  /**
   * Instead of `loss`, where a pair's loss depends on the other pairs (makes it coupled). Each result
   * is of as many pairs as its weight says.
   */
  losses?(pairs: readonly Pair[], options: OptionValues<S>): readonly PairLoss[];
  /** Implicit reward for the metrics; default beta (1 if there is none) times the log-ratio. */
  reward?(side: Side, options: OptionValues<S>): number;
  /** What `logps/*` show; default the sum. */
  logp?(side: Side, options: OptionValues<S>): number;
  nll?(options: OptionValues<S>): NegativeLogLikelihood;
  /** Whether the loss at policy = reference depends on nothing else. Default: with a reference. */
  readonly startKnown?: boolean;
  /** Refuses combinations of options; may return what is recorded instead of them. */
  readonly check?: (options: OptionValues<S>) => Readonly<Record<string, unknown>> | undefined;
}

/** beta, the strength of the tie to the reference, as nearly every loss has it. */
export const betaOption = (value = 0.1) =>
  ({
    type: 'number',
    default: value,
    min: 0,
    exclusive: true,
    help: 'Scale of the log-ratios: the larger, the closer to the reference',
  }) as const satisfies OptionSpec;

export const smoothingOption = {
  type: 'number',
  default: 0,
  min: 0,
  max: 0.5,
  help: 'Assumed share of pairs whose label is wrong',
} as const satisfies OptionSpec;

const sideOf = ({ logProbs, reference }: Sequence, compares: boolean): Side => {
  const sum = sumOf(logProbs);
  const referenceSum = compares && reference ? sumOf(reference) : 0;
  const { length } = logProbs;
  return { sum, mean: sum / length, length, logRatio: sum - referenceSum, reference: referenceSum };
};

const startSide: Side = { sum: 0, mean: 0, length: 1, logRatio: 0, reference: 0 };

const startPair: Pair = { chosen: startSide, rejected: startSide, weight: 1 };

const filled = (length: number, value: number): Float32Array =>
  new Float32Array(length).fill(value);

/** Weighted mean of one number over rows. */
export const meanOver = <T>(items: readonly T[], value: (item: T) => number): Mean => ({
  sum: sumOf(items.map(value)),
  weight: items.length,
});

interface Term {
  readonly loss: number;
  /** By the log-probability of one token that it covers. */
  readonly slope: number;
  readonly prompt: boolean;
  readonly metrics: Readonly<Record<string, Mean>>;
}

const nllTerm = (
  rows: readonly Row[],
  totals: Totals,
  { weight, over }: NegativeLogLikelihood,
): Term => {
  const prompt = over === 'sequence';
  let sum = 0;
  let tokens = 0;
  for (const row of rows) {
    const { logProbs, promptLogProbs = [] } = row.sequences[0]!;
    for (const part of prompt ? [logProbs, promptLogProbs] : [logProbs]) {
      sum -= weightOf(row) * sumOf(part);
      tokens += weightOf(row) * part.length;
    }
  }
  const total = totals.chosenTokens + (prompt ? totals.promptTokens : 0);
  // A term that is switched off is logged as 0, as TRL does.
  const logged = weight === 0 ? 0 : sum;
  return {
    loss: weight === 0 ? 0 : (weight * sum) / total,
    slope: weight === 0 ? 0 : -weight / total,
    prompt,
    metrics: { nll_loss: { sum: logged, weight: tokens } },
  };
};

type Measure = (side: Side) => number;

const pairMetrics = (
  pairs: readonly Pair[],
  results: readonly PairLoss[],
  reward: Measure,
  logp: Measure,
): Record<string, Mean> => {
  const margin = ({ chosen, rejected }: Pair): number => reward(chosen) - reward(rejected);
  const metrics: Record<string, Mean> = {
    'rewards/chosen': meanOver(pairs, ({ chosen }) => reward(chosen)),
    'rewards/rejected': meanOver(pairs, ({ rejected }) => reward(rejected)),
    // Strictly greater: where policy and reference agree nothing is won yet.
    'rewards/accuracies': meanOver(pairs, (pair) =>
      reward(pair.chosen) > reward(pair.rejected) ? 1 : 0,
    ),
    'rewards/margins': meanOver(pairs, margin),
    'logps/chosen': meanOver(pairs, ({ chosen }) => logp(chosen)),
    'logps/rejected': meanOver(pairs, ({ rejected }) => logp(rejected)),
  };
  for (const name of Object.keys(results[0]?.metrics ?? {})) {
    metrics[name] = meanOver(results, (result) => result.metrics?.[name] ?? Number.NaN);
  }
  return metrics;
};

const pairGradients = (
  rows: readonly Row[],
  results: readonly PairLoss[],
  totals: Totals,
  term: Term | null,
): SequenceGradient[][] =>
  rows.map((row, i) => {
    const [chosen, rejected] = row.sequences;
    const { dChosen, dRejected } = results[i]!;
    const ofTerm = weightOf(row) * (term?.slope ?? 0);
    const prompt = term?.prompt
      ? { promptLogProbs: filled(chosen!.promptLogProbs!.length, ofTerm) }
      : {};
    const slope = dChosen / totals.pairs + ofTerm;
    return [
      { logProbs: filled(chosen!.logProbs.length, slope), ...prompt },
      { logProbs: filled(rejected!.logProbs.length, dRejected / totals.pairs) },
    ];
  });

/** What `defineObjective` wants, for the options of one objective. */
const objectiveOf = <S extends OptionSpecs>(
  definition: PairwiseDefinition<S>,
  options: OptionValues<S>,
): Omit<Objective, 'name' | 'options'> => {
  const { reference = true, startKnown = true } = definition;
  const compares = typeof reference === 'function' ? reference(options) : reference;
  const beta = 'beta' in options ? Number(options.beta) : 1;
  const reward: Measure = (side) =>
    definition.reward ? definition.reward(side, options) : beta * side.logRatio;
  const logp: Measure = (side) => (definition.logp ? definition.logp(side, options) : side.sum);
  const nll = definition.nll?.(options);
  const lossesOf = (pairs: readonly Pair[]): readonly PairLoss[] =>
    definition.losses?.(pairs, options) ?? pairs.map((pair) => definition.loss!(pair, options));
  return {
    rows: ['pair'],
    needs: {
      ...(compares ? { reference: true } : {}),
      ...(nll?.over === 'sequence' ? { promptLogProbs: true } : {}),
    },
    ...(definition.losses ? { coupled: true } : {}),
    evaluate: (rows, totals) => {
      const pairs = rows.map((row) => ({
        chosen: sideOf(row.sequences[0]!, compares),
        rejected: sideOf(row.sequences[1]!, compares),
        weight: weightOf(row),
      }));
      const results = lossesOf(pairs);
      const term = nll ? nllTerm(rows, totals, nll) : null;
      return {
        loss: sumOf(results.map(({ loss }) => loss)) / totals.pairs + (term?.loss ?? 0),
        gradients: pairGradients(rows, results, totals, term),
        metrics: { ...pairMetrics(pairs, results, reward, logp), ...term?.metrics },
      };
    },
    ...(compares && startKnown ? { lossAtStart: () => lossesOf([startPair])[0]!.loss } : {}),
  };
};

/**
 * A loss on pairs as an entry of the list. Two lines of options and one of formula make an
 * objective: see dpo.ts. `make()` of what it returns is what `train` takes. OPTION_INVALID where
 * the definition has no loss.
 */
export const pairwise = <const S extends OptionSpecs>(
  definition: PairwiseDefinition<S>,
): TypedEntry<S> => {
  const { name, title = name, paper = '', options: specs, check } = definition;
  if (!definition.loss && !definition.losses) {
    const wayOut = 'Give "loss", a function of one pair, or "losses", of all.';
    throw new AlignlabError('OPTION_INVALID', `The definition of ${name} has no loss. ${wayOut}`);
  }
  return defineObjective({
    name,
    title,
    paper,
    source: 'dataset',
    options: specs,
    make: (options) => {
      const recorded = check?.(options);
      return { ...objectiveOf(definition, options), ...(recorded ? { options: recorded } : {}) };
    },
  });
};
