// Learners of control policies from real data, a simulator, or both: H2O (Niu et al. 2022, "When to
// Trust Your Simulator", arXiv 2206.13464) and the baselines around it. Networks, transitions and
// updates live in the native engine; an ensemble's members differ by their seed alone.
import { AlignlabError } from '../errors.js';
import { requireWhole } from '../options.js';
import { type DeviceName, deviceName, deviceNumber } from '../engine/device.js';
import { type NativeLearner, guarded, native, settle } from '../engine/native.js';
import type { ActingLearner } from './data/learner.js';
import type { TransitionColumns } from './data/transitions.js';
import { type LearnerMetrics, absentMetrics, metricsOf } from './learner-metrics.js';
import { type LearnerOptions, dataNeeds } from './learner-options.js';
import { learnerSettings } from './learner-settings.js';
import { type LearnerUnits, unitsOf } from './learner-units.js';

export type { LearnerMetrics } from './learner-metrics.js';
export type { Algorithm, LearnerOptions } from './learner-options.js';

/** What a learner reads of transitions: whether time was up does not matter to it. */
export type Transitions = Omit<TransitionColumns, 'truncated'>;

/** Of transitions, one number each. */
export interface Inspection {
  readonly q1: Float32Array;
  readonly q2: Float32Array;
  /** ln P_real(s'|s,a) / P_sim(s'|s,a) by the discriminators; absent without them. */
  readonly logRatio?: Float32Array;
  /** u, at least 1e-30; the next states are drawn anew from the seed, the same at each call. */
  readonly gap?: Float32Array;
}

/** One member, or the real data that all share. */
export type Source = number | 'real';

const noTransitions: Transitions = {
  n: 0,
  obs: new Float32Array(),
  act: new Float32Array(),
  rew: new Float32Array(),
  next: new Float32Array(),
  done: new Uint8Array(),
};

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

export class Learner implements Disposable {
  readonly options: LearnerOptions;
  /** Where it runs. */
  readonly device: DeviceName;
  /** How many, one a seed. */
  readonly members: number;
  readonly #native: NativeLearner;
  readonly #absent: ReadonlySet<string>;
  readonly #units: LearnerUnits;

  /**
   * @param real transitions of the real system, copied; needed unless the algorithm is sac
   * @throws OPTION_INVALID, DATA_INVALID, DEVICE_UNAVAILABLE, OUT_OF_MEMORY
   */
  constructor(options: LearnerOptions, real: Transitions = noTransitions) {
    const settings = learnerSettings(options, real.n);
    const needs = dataNeeds(options.algorithm);
    if (needs.real !== real.n > 0) {
      throw new AlignlabError(
        'OPTION_INVALID',
        needs.real
          ? `The algorithm ${options.algorithm} learns from real data too. Pass some transitions.`
          : `The algorithm ${options.algorithm} learns from simulated transitions alone. ` +
              'Leave the real data out, or choose mix or h2o.',
      );
    }
    this.options = options;
    this.device = deviceName(options.device);
    this.members = settings.seeds.length;
    this.#absent = absentMetrics(options);
    this.#requireColumns(real, 'The real data');
    this.#units = unitsOf(options);
    const read = this.#units.read(real);
    this.#native = guarded(
      () => new (native().NativeLearner)(settings, read, deviceNumber(this.device)),
    );
  }

  /** Updates done. */
  get step(): number {
    return guarded(() => this.#native.step);
  }

  /** Bytes of its device's memory. */
  get bytes(): number {
    return this.#native.bytes();
  }

  /**
   * Appends simulated transitions of a member; the oldest go when `capacity` is reached.
   * @throws DATA_INVALID, and appends nothing, when a number is not finite or a column has another
   *   length than n rows
   */
  push(transitions: Transitions, member = 0): void {
    this.#requireMember(member);
    this.#requireColumns(transitions, 'The simulated transitions');
    guarded(() => {
      this.#native.push(member, this.#units.read(transitions));
    });
  }

  /**
   * n updates of every member, off the JavaScript thread; metrics of each member. While it runs the
   * learner refuses other calls. Aborted, all members have done the same number of updates.
   * @throws NON_FINITE when a loss is not finite: restore an earlier state
   */
  async update(n: number, options: { signal?: AbortSignal } = {}): Promise<LearnerMetrics[]> {
    requireWhole('The number of updates', n);
    options.signal?.throwIfAborted();
    const call = guarded(() => this.#native.update(n));
    const values = await settle(call, options.signal);
    return Array.from({ length: this.members }, (_, member) =>
      metricsOf(values, member, this.#absent),
    );
  }

  /**
   * Actions in [-1, 1] for observations: drawn from the policy, or its tanh(mean).
   * @param obs [rows, obsDim]
   * @param out [rows, actDim], overwritten
   */
  act(
    obs: Float32Array,
    rows: number,
    mode: 'sample' | 'mean',
    out: Float32Array,
    member = 0,
  ): void {
    this.#requireMember(member);
    requireWhole('rows', rows);
    if (mode !== 'sample' && mode !== 'mean') {
      throw new AlignlabError(
        'OPTION_INVALID',
        `mode must be sample or mean, got ${String(mode)}.`,
      );
    }
    this.#requireLength('obs', obs, rows * this.options.obsDim);
    this.#requireLength('out', out, rows * this.options.actDim);
    guarded(() => {
      this.#native.act(member, this.#units.observations(obs), rows, mode === 'sample', out);
    });
  }

  /** What the member's networks say about transitions. */
  inspect(transitions: Transitions, member = 0): Inspection {
    this.#requireMember(member);
    this.#requireColumns(transitions, 'The transitions');
    const read = this.#units.read(transitions);
    const { q1, q2, logRatio, gap } = guarded(() => this.#native.inspect(member, read));
    return this.#absent.has('dSaLoss') ? { q1, q2 } : { q1, q2, logRatio, gap };
  }

  /** How many transitions there are. */
  size(source: Source = 0): number {
    return guarded(() => this.#native.size(this.#index(source)));
  }

  /** Transitions in the order of their arrival, copied. Default: all. */
  transitions(source: Source = 0, range: { first?: number; count?: number } = {}): Transitions {
    const size = this.size(source);
    const { first = 0, count = size - first } = range;
    requireWhole('first', first, 0);
    requireWhole('count', count, 0);
    if (first + count > size) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `Transitions ${first} to ${first + count - 1} were asked for; there are ${size}.`,
      );
    }
    return this.#units.tell(guarded(() => this.#native.read(this.#index(source), first, count)));
  }

  /**
   * The trained numbers of a member: policy, both critics, both discriminators (layer by layer,
   * row-major [out, in] weights and then biases), the policy's two log_std scalars, ln alpha.
   */
  parameters(member = 0): Float32Array {
    this.#requireMember(member);
    return guarded(() => this.#native.parameters(member));
  }

  /**
   * All that the next update depends on, but for the options and the real data: a learner that
   * restores it goes on as this one would, bit for bit on the same instruction set or the same kind
   * of GPU. Without `transitions` the restoring learner keeps the simulated ones that it has.
   */
  state({ transitions = true }: { transitions?: boolean } = {}): Uint8Array {
    return guarded(() => this.#native.state(transitions));
  }

  /**
   * @throws DATA_INVALID, and changes nothing, for bytes that are damaged or of a learner with
   *   another algorithm, sizes, seeds or number of real transitions, or on another kind of device
   */
  restore(state: Uint8Array): void {
    guarded(() => {
      this.#native.restore(state);
    });
  }

  /** Gives the memory back, after an update that is under way. Idempotent. */
  dispose(): void {
    this.#native.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #index(source: Source): number {
    if (source === 'real') return -1;
    this.#requireMember(source);
    return source;
  }

  #requireMember(member: number): void {
    if (Number.isSafeInteger(member) && member >= 0 && member < this.members) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `The learner has ${plural(this.members, 'member')}, counted from 0; there is no member ` +
        `${String(member)}.`,
    );
  }

  #requireLength(name: string, array: Float32Array, length: number): void {
    if (array instanceof Float32Array && array.length === length) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      `${name} must be a Float32Array of ${plural(length, 'number')}, got ` +
        `${array instanceof Float32Array ? array.length : typeof array}.`,
    );
  }

  #requireColumns(columns: Transitions, what: string): void {
    const { obsDim, actDim } = this.options;
    requireWhole(`n of ${what.toLowerCase()}`, columns.n, 0);
    const widths = { obs: obsDim, act: actDim, rew: 1, next: obsDim, done: 1 } as const;
    for (const [name, width] of Object.entries(widths) as [keyof typeof widths, number][]) {
      const found = columns[name].length;
      if (found === columns.n * width) continue;
      throw new AlignlabError(
        'DATA_INVALID',
        `${what}: the column ${name} has ${plural(found, 'number')}, but ` +
          `${plural(columns.n, 'transition')} of width ${width} have ${columns.n * width}. ` +
          `The learner was made for obsDim ${obsDim} and actDim ${actDim}.`,
      );
    }
  }
}

/** See Learner. */
export const createLearner = (options: LearnerOptions, real?: Transitions): Learner =>
  new Learner(options, real);

/**
 * One member as what builds datasets: pushed one transition at a time, its state without them.
 * Disposing it disposes the learner.
 */
export const actingLearner = (learner: Learner, member = 0): ActingLearner => ({
  push: (obs, act, reward, next, terminated) => {
    const rew = Float32Array.of(reward);
    const done = Uint8Array.of(Number(terminated));
    learner.push({ n: 1, obs, act, rew, next, done }, member);
  },
  update: async (n) => learner.update(n),
  act: (obs, rows, mode, out) => {
    learner.act(obs, rows, mode, out, member);
  },
  state: () => learner.state({ transitions: false }),
  restore: (state) => {
    learner.restore(state);
  },
  dispose: () => {
    learner.dispose();
  },
});
