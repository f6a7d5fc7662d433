// What an objective is: a pure function from log-probabilities to a loss and its derivatives. It
// knows no engine, no text and no file; one objective is one file of this folder.

/** One response, scored. Arrays are over the response's tokens; log-probabilities are natural. */
export interface Sequence {
  /** log pi(y_t | x, y_<t) under the policy in training. Empty for models with a scalar head. */
  readonly logProbs: Float32Array;
  /** Of pi's next-token distribution at each token, in nats; when `needs.entropies`. */
  readonly entropies?: Float32Array;
  /** Of the prompt's tokens after the first, under the policy; when `needs.promptLogProbs`. */
  readonly promptLogProbs?: Float32Array;
  /** log-probabilities under the reference; when `needs.reference`. */
  readonly reference?: Float32Array;
  /** Under the policy that drew the response, at temperature 1; of sampled responses. */
  readonly behaviour?: Float32Array;
  /** Exact KL(pi || reference) over the vocabulary at each token; when `needs.exactKl`. */
  readonly exactKl?: Float32Array;
  /** V(x, y_<t), the critic's output before each token; when `needs.values`. */
  readonly values?: Float32Array;
  /** The critic's output when the response was drawn; when `needs.values`. */
  readonly oldValues?: Float32Array;
  /** Output of the scalar head at the response's last token; when `needs.scores`. */
  readonly score?: number;
  /** The judge's reward of the whole response; null where it could not tell (never counts as 0). */
  readonly reward?: number | null;
  /** Cut off at the token limit: no end-of-text token was drawn. */
  readonly truncated?: boolean;
  /** Drawn from the reference, where a pair holds one sample of it and one of the policy (XPO). */
  readonly fromReference?: boolean;
  /** What `prepare` found: one advantage (and return, for the critic) for each token. */
  readonly advantages?: Float32Array;
  readonly returns?: Float32Array;
}

/** Derivatives of the loss by what stands under the same name in the sequence; absent is zero. */
export interface SequenceGradient {
  readonly logProbs?: Float32Array;
  readonly entropies?: Float32Array;
  readonly promptLogProbs?: Float32Array;
  readonly values?: Float32Array;
  readonly score?: number;
}

/**
 * pair: sequences are chosen, rejected. completion: one sequence. group: samples of one prompt.
 */
export type RowKind = 'pair' | 'completion' | 'group';

/** The responses to one prompt. */
export interface Row {
  readonly kind: RowKind;
  readonly sequences: readonly Sequence[];
  /** Of a completion: whether it is desirable (KTO). */
  readonly label?: boolean;
  /** Of a pair: by how much the chosen one is better, where the data says so. */
  readonly margin?: number;
  /**
   * Of a pair: how many pairs it counts as, above 0; default 1. The loss is a weighted mean: weight 2
   * is the pair twice, in numerators and denominators.
   */
  readonly weight?: number;
  /** Of a pair: how far its label is not to be trusted, in nats from 0 up (trust.ts). */
  readonly gap?: number;
  /**
   * This prompt with the response of another row: log-probability sums under the policy, without
   * gradient, and under the reference; when `needs.mismatched` (KTO's KL estimate).
   */
  readonly mismatched?: { readonly policy: number; readonly reference: number };
}

/** What a row needs besides log-probabilities. The trainer computes nothing that is not asked for. */
export interface Needs {
  readonly reference?: boolean;
  readonly entropies?: boolean;
  readonly promptLogProbs?: boolean;
  readonly exactKl?: boolean;
  readonly values?: boolean;
  /** The model has a scalar head instead of a vocabulary. */
  readonly scores?: boolean;
  readonly mismatched?: boolean;
}

/**
 * Counts over all rows that one normalisation covers, though `evaluate` may see a part of them. A
 * pair, and each of its tokens, counts as its weight.
 */
export interface Totals {
  readonly pairs: number;
  readonly completions: number;
  readonly groups: number;
  /** Sequences of groups. */
  readonly samples: number;
  /** Response tokens by role. */
  readonly chosenTokens: number;
  readonly rejectedTokens: number;
  readonly completionTokens: number;
  readonly sampleTokens: number;
  /** Prompt tokens that `promptLogProbs` covers, once for each row. */
  readonly promptTokens: number;
}

/** A mean that can be merged over parts of a batch: sum of weight times value, and of weights. */
export interface Mean {
  readonly sum: number;
  readonly weight: number;
}

export interface Evaluation {
  /** This part's share of the loss: the shares of all parts add up to the loss. */
  readonly loss: number;
  /** One for each sequence of each row, in order: d(loss)/d(sequence). */
  readonly gradients: readonly (readonly SequenceGradient[])[];
  /** Metric name (TRL's, where it has one) to its mean over this part. */
  readonly metrics: Readonly<Record<string, Mean>>;
}

/**
 * A number that changes from one batch of samples to the next. The trainer keeps it, and a
 * checkpoint with it: it prepares and evaluates a batch by `at(state)`, then moves on by `next`.
 */
export interface Adaptation {
  readonly start: number;
  at(state: number): Objective;
  /** From the samples that `at(state)` prepared. */
  next(state: number, rows: readonly Row[]): number;
}

export interface Objective {
  /** As on the command line: 'dpo', 'ipo', 'rloo'. */
  readonly name: string;
  /** Kinds of row that it takes; others are refused. */
  readonly rows: readonly RowKind[];
  readonly needs: Needs;
  /** Resolved options, as the manifest records them. */
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * A row's loss depends on log-probabilities of other rows: `evaluate` must see all rows of the
   * normalisation at once. What is not coupled may be evaluated in parts; weights of its rows are
   * then applied by `defineObjective`, and a coupled one applies them itself.
   */
  readonly coupled?: boolean;
  /**
   * Once for a whole batch of samples, before the first optimiser step on it: fills in advantages
   * and returns from rewards, behaviour, reference and old values. `logProbs` are not read.
   */
  prepare?(rows: readonly Row[]): readonly Row[];
  /** Where one of its options follows the run (PPO's adaptive KL coefficient). */
  readonly adaptation?: Adaptation;
  /** Pure. `totals` counts all rows of the normalisation, of which `rows` may be a part. */
  evaluate(rows: readonly Row[], totals: Totals): Evaluation;
  /**
   * What the loss must be while the policy equals the reference and has not moved since sampling
   * (DPO: ln 2, IPO: (1/2 beta)^2); checked at step 0 of every run. Absent: nothing is known.
   */
  lossAtStart?(): number;
}

/**
 * An entry of the list that the command line, the documentation and the shared tests are made
 * from. `make` checks its options: every option acts or raises OPTION_INVALID.
 */
export interface ObjectiveEntry {
  readonly name: string;
  readonly title: string;
  /** Authors, year, arXiv number and equation. */
  readonly paper: string;
  /** Where its experience comes from by default. */
  readonly source: 'dataset' | 'on-policy' | 'hybrid';
  readonly options: Readonly<Record<string, OptionSpec>>;
  make(options?: Readonly<Record<string, unknown>>): Objective;
}

/** One option: its default, its range, and one line for --help. */
export interface OptionSpec {
  readonly type: 'number' | 'boolean' | 'string';
  readonly default: number | boolean | string | null;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** min or max itself is not allowed. */
  readonly exclusive?: boolean;
  readonly help: string;
  /** TRL's name, where it differs from the option's own in snake case. */
  readonly trl?: string;
}
