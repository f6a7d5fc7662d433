// Stops a run when a metric of the evaluations has not become better for some of them.
import type { JsonValue } from '../checkpoint/json.js';
import { isObject } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';

export interface EarlyStopOptions {
  /** Name of the evaluation metric: 'eval_loss', 'eval_rewards/accuracies' … */
  readonly metric: string;
  /** Evaluations without improvement after which to stop. */
  readonly patience: number;
  /** By how much a value must be better than the best before, to count. Default 0. */
  readonly minDelta?: number;
  /** Default: false for names that end in 'loss', true for others, as in transformers. */
  readonly greaterIsBetter?: boolean;
}

const names: OptionNames<EarlyStopOptions> = {
  metric: true,
  patience: true,
  minDelta: true,
  greaterIsBetter: true,
};

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

export class EarlyStop {
  readonly metric: string;
  readonly #patience: number;
  readonly #minDelta: number;
  readonly #sign: 1 | -1;
  #best: number | null = null;
  #bestStep: number | null = null;
  #waited = 0;

  constructor(options: EarlyStopOptions) {
    const { metric, patience, minDelta = 0, greaterIsBetter } = options;
    refuseUnknown('EarlyStop', options, names);
    if (!Number.isSafeInteger(patience) || patience < 1) {
      refuse(`Patience must be a number of evaluations, 1 or more, got ${String(patience)}.`);
    }
    if (!(minDelta >= 0 && Number.isFinite(minDelta))) {
      refuse(`minDelta must be 0 or more, got ${String(minDelta)}.`);
    }
    if (typeof metric !== 'string' || metric === '') refuse('Name the metric of early stopping.');
    this.metric = metric;
    this.#patience = patience;
    this.#minDelta = minDelta;
    this.#sign = (greaterIsBetter ?? !metric.endsWith('loss')) ? 1 : -1;
  }

  /** The step of the best value so far. */
  get bestStep(): number | null {
    return this.#bestStep;
  }

  /**
   * Takes the metrics of an evaluation; true when the run should stop. A value that is not a number
   * is never better. Throws OPTION_INVALID where the metric is not among them.
   */
  update(step: number, metrics: Readonly<Record<string, number>>): boolean {
    const value = metrics[this.metric];
    if (value === undefined) {
      const names = Object.keys(metrics).join(', ');
      return refuse(
        `Early stopping watches "${this.metric}", but the evaluation gave ${names || 'nothing'}. ` +
          'Name one of these.',
      );
    }
    const gain = this.#best === null ? Infinity : this.#sign * (value - this.#best);
    if (Number.isNaN(value) || !(gain > this.#minDelta)) {
      this.#waited += 1;
    } else {
      this.#best = value;
      this.#bestStep = step;
      this.#waited = 0;
    }
    return this.#waited >= this.#patience;
  }

  state(): JsonValue {
    return { best: this.#best, bestStep: this.#bestStep, waited: this.#waited };
  }

  restore(state: JsonValue): void {
    const whole = (value: unknown): value is number => Number.isSafeInteger(value);
    if (!isObject(state) || !whole(state.waited)) {
      throw new AlignlabError(
        'RUN_INVALID',
        'The state of early stopping cannot be read. Resume with the settings of the run.',
      );
    }
    this.#best = typeof state.best === 'number' ? state.best : null;
    this.#bestStep = whole(state.bestStep) ? state.bestStep : null;
    this.#waited = state.waited;
  }
}
