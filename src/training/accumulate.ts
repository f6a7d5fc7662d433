// One normalisation: the objective is evaluated over all its rows, and its gradient is added to
// the models', in as many passes as the budget of tokens asks for.
import { AlignlabError } from '../errors.js';
import { sumOf } from '../numbers.js';
import type { Evaluation, Mean, Row, SequenceGradient, Totals } from '../objectives/objective.js';
import type { Example } from '../text/example.js';
import { type Learner, type LivePass, passesOf, runPass, scorePass } from './learner.js';
import { totalsOf } from './normalization.js';
import type { Pass } from './passes.js';
import { scoreExamples } from './reference.js';
import {
  type Experience,
  type Measured,
  type Mismatched,
  allZero,
  coefficientsOf,
  measured,
  rowOf,
} from './rows.js';

export interface Accumulated {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, Mean>>;
  /** In the order of the experiences. */
  readonly rows: readonly Row[];
  /** Tokens that went through training passes. */
  readonly tokens: number;
}

/**
 * Each prompt with the response of the example before it (the first with the last one's), scored
 * without gradient (KTO, Ethayarajh et al. 2024, arXiv 2402.01306, section 4.1). Cut at maxLength.
 */
export const mismatchedOf = async (
  { policy, reference, maxTokens, maxLength, signal, objective }: Learner,
  examples: readonly Example[],
): Promise<Mismatched[]> => {
  if (examples.length < 2) {
    throw new AlignlabError(
      'DATA_INVALID',
      `${objective.name} estimates a KL from the responses of other examples and got one example ` +
        `(${examples[0]?.origin ?? ''}) in a batch. Take batches, and micro-batches, of two or more; ` +
        "a last batch that is smaller is left out by lastBatch: 'drop' (--dataloader-drop-last true).",
    );
  }
  const rotated = examples.map((example, i): Example => {
    const other = examples.at(i - 1)!;
    const room = Math.max(1, maxLength - example.prompt.length);
    const { tokens: cut, uncut = cut } = other.responses[0]!;
    const tokens = uncut.subarray(0, room);
    const origin = `${example.origin} with the response of ${other.origin}`;
    return { kind: 'completion', prompt: example.prompt, responses: [{ tokens }], origin };
  });
  const options = { maxTokens, ...(signal ? { signal } : {}) };
  const own = await scoreExamples(policy, rotated, options);
  const theirs = await reference?.logProbs(rotated, options);
  return own.map((scores, i) => ({
    policy: sumOf(scores[0]!),
    reference: theirs ? sumOf(theirs[i]![0]!) : 0,
  }));
};

const culprits = (
  experiences: readonly Experience[],
  gradients: readonly (readonly SequenceGradient[])[],
): readonly Experience[] => {
  const finite = (values: Float32Array | undefined): boolean =>
    values?.every(Number.isFinite) ?? true;
  const bad = experiences.filter((_, i) =>
    gradients[i]?.some(
      ({ logProbs, entropies, promptLogProbs, values, score = 0 }) =>
        !Number.isFinite(score) || ![logProbs, entropies, promptLogProbs, values].every(finite),
    ),
  );
  return bad.length > 0 ? bad : experiences;
};

/** Origins, at most eight. */
export const originsOf = (experiences: readonly Experience[]): string => {
  const names = experiences.slice(0, 8).map(({ example }) => example.origin);
  return experiences.length > 8 ? `${names.join('; ')}; …` : names.join('; ');
};

const checkFinite = (
  { loss, gradients }: Evaluation,
  rows: readonly Row[],
  experiences: readonly Experience[],
): void => {
  if (gradients.length !== rows.length) {
    throw new AlignlabError(
      'INTERNAL',
      `The objective returned gradients of ${gradients.length} rows for ${rows.length} rows.`,
    );
  }
  const bad = culprits(experiences, gradients);
  if (Number.isFinite(loss) && bad === experiences) return;
  throw new AlignlabError(
    'NON_FINITE',
    `The loss is ${loss} or has derivatives that are not finite; no step was made. Examples: ` +
      `${originsOf(bad)}. Look at them, or lower the learning rate.`,
  );
};

/** The engine's own complaints name no example. */
export const namingExamples = async <T>(
  experiences: readonly Experience[],
  work: Promise<T>,
): Promise<T> => {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof AlignlabError) || cause.code !== 'NON_FINITE') throw cause;
    const message = `${cause.message} No step was made. Examples: ${originsOf(experiences)}.`;
    throw new AlignlabError('NON_FINITE', message, { cause });
  }
};

class Scope {
  readonly #learner: Learner;
  readonly #experiences: readonly Experience[];
  readonly #examples: readonly Example[];
  readonly #totals: Totals;
  readonly #weight: number;
  readonly #mismatched: readonly Mismatched[] | null;
  readonly #rows: Row[];

  constructor(
    learner: Learner,
    experiences: readonly Experience[],
    weight: number,
    mismatched: readonly Mismatched[] | null,
  ) {
    this.#learner = learner;
    this.#experiences = experiences;
    this.#examples = experiences.map(({ example }) => example);
    this.#totals = totalsOf(this.#examples);
    this.#weight = weight;
    this.#mismatched = mismatched;
    this.#rows = new Array<Row>(experiences.length);
  }

  async run(): Promise<Accumulated> {
    const passes = passesOf(this.#learner, this.#examples);
    const coupled = this.#learner.objective.coupled === true;
    const whole = passes.length > 1 && coupled ? await this.#scoreAll(passes) : null;
    let evaluation: Evaluation | null = whole;
    for (const [i, pass] of passes.entries()) {
      const named = pass.places.map(({ example }) => this.#experiences[example]!);
      using live = await namingExamples(named, runPass(this.#learner, pass));
      const part = whole ? this.#partOf(whole, pass) : this.#evaluate(pass, live);
      await namingExamples(named, this.#backward(pass, live, part, i === passes.length - 1));
      if (passes.length === 1) evaluation = part;
    }
    // Over all rows at once: what is logged does not depend on how they were cut into passes.
    const { loss, metrics } = evaluation ?? this.#evaluateRows();
    const tokens = passes.reduce((sum, pass) => sum + pass.tokens, 0);
    return { loss, metrics: this.#withEntropy(metrics), rows: this.#rows, tokens };
  }

  #take(pass: Pass, results: readonly Measured[]): void {
    pass.places.forEach(({ example }, p) => {
      const mismatched = this.#mismatched?.[example];
      this.#rows[example] = rowOf(this.#experiences[example]!, results[p]!, mismatched);
    });
  }

  /** A coupled loss needs all log-probabilities before any gradient: they are scored first. */
  async #scoreAll(passes: readonly Pass[]): Promise<Evaluation> {
    for (const pass of passes) {
      const results = await namingExamples(this.#experiences, scorePass(this.#learner, pass));
      this.#take(pass, measured(pass, results, this.#learner.objective.needs));
    }
    return this.#evaluateRows();
  }

  #evaluateRows(): Evaluation {
    const evaluation = this.#learner.objective.evaluate(this.#rows, this.#totals);
    checkFinite(evaluation, this.#rows, this.#experiences);
    return evaluation;
  }

  #partOf(whole: Evaluation, { places }: Pass): Evaluation {
    return { ...whole, gradients: places.map(({ example }) => whole.gradients[example]!) };
  }

  #evaluate(pass: Pass, live: LivePass): Evaluation {
    this.#take(pass, measured(pass, live.results, this.#learner.objective.needs));
    const rows = pass.places.map(({ example }) => this.#rows[example]!);
    const part = this.#learner.objective.evaluate(rows, this.#totals);
    checkFinite(
      part,
      rows,
      pass.places.map(({ example }) => this.#experiences[example]!),
    );
    return part;
  }

  /** A pass that teaches nothing is left out, but for the last: the optimiser needs gradients. */
  async #backward(pass: Pass, live: LivePass, part: Evaluation, last: boolean): Promise<void> {
    const coefficients = coefficientsOf(pass, live.results, part.gradients, this.#weight);
    const { values, ...own } = coefficients;
    const { signal } = this.#learner;
    const options = signal ? { signal } : {};
    if (last || !allZero(own)) await live.policy.backward(own, options);
    if (live.critic && values) await live.critic.backward({ scalars: values }, options);
  }

  #withEntropy(metrics: Accumulated['metrics']): Accumulated['metrics'] {
    if (!this.#learner.entropy || 'entropy' in metrics) return metrics;
    const lists = this.#rows.flatMap(({ sequences }) =>
      sequences.flatMap(({ entropies }) => (entropies ? [entropies] : [])),
    );
    const sum = lists.reduce((total, list) => total + sumOf(list), 0);
    const weight = lists.reduce((total, { length }) => total + length, 0);
    return { ...metrics, entropy: { sum, weight } };
  }
}

/** Evaluates the experiences as one normalisation and adds `weight` times the gradient. */
export const accumulate = async (
  learner: Learner,
  experiences: readonly Experience[],
  weight: number,
): Promise<Accumulated> => {
  const { mismatched: needed } = learner.objective.needs;
  const examples = experiences.map(({ example }) => example);
  const mismatched = needed ? await mismatchedOf(learner, examples) : null;
  return new Scope(learner, experiences, weight, mismatched).run();
};
