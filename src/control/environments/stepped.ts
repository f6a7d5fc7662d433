// What all environments share: seeds and episodes, checks of actions, noise and delay on them, the
// time limit, and the part of the state that is not physics.
import { type RandomStream, random } from '../../data/random.js';
import { AlignlabError } from '../../errors.js';
import type { DynamicsGap, Env, EnvSpec, StepResult } from './environment.js';
import { type FullGap, fullGap, maxDelay, nominal } from './gap.js';
import { StepNoise } from './noise.js';
import type { Pose } from './poses.js';

// Seed in two halves, episode, step, whether the episode goes on.
const headLength = 5;

const invalid = (message: string): AlignlabError => new AlignlabError('OPTION_INVALID', message);

export abstract class SteppedEnv implements Env {
  readonly spec: EnvSpec;
  /** Steps of `advance` in a control step. */
  readonly actionRepeat: number;
  /** Episode and step of the physics, the keys of all noise. */
  protected episode = -1;
  protected steps = 0;
  protected physicsSeed = 0n;
  protected full: FullGap = nominal;
  #gap: DynamicsGap = {};
  #going = false;
  #closed = false;
  #jointNoise: StepNoise;
  readonly #normals: Float64Array;
  /** The action after noise and clipping, which the reward sees; the one that acts now. */
  readonly #clipped: Float64Array;
  readonly #acting: Float64Array;
  /** The last actions, newest at (step mod maxDelay); zeros before the episode. */
  readonly #past: Float64Array;
  readonly #result: StepResult = { reward: 0, terminated: false, truncated: false };

  constructor(spec: EnvSpec, actionRepeat = 1) {
    this.spec = spec;
    this.actionRepeat = actionRepeat;
    this.#jointNoise = new StepNoise(0n, 'joint noise');
    this.#normals = new Float64Array(spec.actDim);
    this.#clipped = new Float64Array(spec.actDim);
    this.#acting = new Float64Array(spec.actDim);
    this.#past = new Float64Array(spec.actDim * maxDelay);
  }

  /** Places the body at the start of an episode. */
  protected abstract place(stream: RandomStream): void;
  /** Advances the physics under `acting` and returns the reward, for the commanded action. */
  protected abstract advance(acting: Float64Array, commanded: Float64Array): number;
  protected abstract observe(out: Float32Array): void;
  protected abstract hasFallen(): boolean;
  /** Puts the gap into the physics. */
  protected abstract applyGap(gap: FullGap): void;
  protected abstract physicsLength(): number;
  protected abstract readPhysics(into: Float64Array): void;
  protected abstract writePhysics(from: Float64Array): void;
  /** A new seed for whatever noise the physics has itself. */
  protected abstract reseed(seed: bigint): void;
  /** Gives back what the physics holds outside of JavaScript's heap. */
  protected abstract release(): void;
  abstract pose(): Pose;

  get gap(): DynamicsGap {
    return this.#gap;
  }

  setGap(gap: DynamicsGap): void {
    this.requireOpen();
    this.full = fullGap(this.spec.id, gap);
    this.#gap = { ...gap };
    this.applyGap(this.full);
  }

  seed(seed: bigint): void {
    this.physicsSeed = BigInt.asUintN(64, seed);
    this.#jointNoise = new StepNoise(this.physicsSeed, 'joint noise');
    this.reseed(this.physicsSeed);
    this.episode = -1;
    this.#going = false;
  }

  reset(out: Float32Array): void {
    this.requireOpen();
    this.#requireLength('observation', out, this.spec.obsDim);
    this.episode += 1;
    this.steps = 0;
    this.#past.fill(0);
    this.#going = true;
    this.place(random(this.physicsSeed, 'reset', this.episode));
    this.observe(out);
  }

  step(action: Float32Array | Float64Array, out: Float32Array): StepResult {
    if (!this.#going) this.#refuseStep();
    this.#requireLength('observation', out, this.spec.obsDim);
    this.#requireLength('action', action, this.spec.actDim);
    const result = this.#result;
    result.reward = this.#hold(action);
    result.terminated = this.hasFallen();
    const limit = this.spec.maxEpisodeSteps * this.actionRepeat;
    result.truncated = !result.terminated && this.steps >= limit;
    this.observe(out);
    this.#requireFinite(out, result.reward);
    this.#going = !result.terminated && !result.truncated;
    return result;
  }

  /** Steps of the physics under one action, until it falls; the mean of their rewards. */
  #hold(action: Float32Array | Float64Array): number {
    let total = 0;
    for (let held = 1; ; held += 1) {
      this.#take(action);
      total += this.advance(this.#delayed(), this.#clipped);
      this.steps += 1;
      if (held === this.actionRepeat || this.hasFallen()) return total / held;
    }
  }

  #take(action: Float32Array | Float64Array): void {
    const deviation = this.full.jointNoise;
    if (deviation > 0) this.#jointNoise.fill(this.#normals, this.episode, this.steps);
    for (let j = 0; j < action.length; j += 1) {
      const wanted = action[j]! + (deviation > 0 ? deviation * this.#normals[j]! : 0);
      if (!Number.isFinite(wanted)) {
        throw new AlignlabError(
          'NON_FINITE',
          `Action ${j} of ${this.spec.id} is ${action[j]!} at step ${this.steps}. A policy that ` +
            'diverged gives such numbers; lower its learning rate, or restore an earlier state.',
        );
      }
      this.#clipped[j] = Math.min(1, Math.max(-1, wanted));
    }
  }

  #delayed(): Float64Array {
    const { delay } = this.full;
    const size = this.spec.actDim;
    const slot = (step: number): number => (((step % maxDelay) + maxDelay) % maxDelay) * size;
    // Read before writing: a delay of maxDelay steps reads the slot that is about to be overwritten.
    const from = slot(this.steps - delay);
    for (let j = 0; j < size; j += 1) {
      this.#acting[j] = delay === 0 ? this.#clipped[j]! : this.#past[from + j]!;
    }
    this.#past.set(this.#clipped, slot(this.steps));
    return this.#acting;
  }

  getState(): Float64Array {
    this.requireOpen();
    const state = new Float64Array(headLength + this.#past.length + this.physicsLength());
    state[0] = Number(this.physicsSeed & 0xffffffffn);
    state[1] = Number(this.physicsSeed >> 32n);
    state[2] = this.episode;
    state[3] = this.steps;
    state[4] = this.#going ? 1 : 0;
    state.set(this.#past, headLength);
    this.readPhysics(state.subarray(headLength + this.#past.length));
    return state;
  }

  setState(state: Float64Array): void {
    this.requireOpen();
    const length = headLength + this.#past.length + this.physicsLength();
    this.#requireLength('state', state, length);
    this.seed((BigInt(state[1]!) << 32n) | BigInt(state[0]!));
    this.episode = state[2]!;
    this.steps = state[3]!;
    this.#going = state[4] === 1;
    this.#past.set(state.subarray(headLength, headLength + this.#past.length));
    this.writePhysics(state.subarray(headLength + this.#past.length));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#going = false;
    this.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  protected requireOpen(): void {
    if (!this.#closed) return;
    throw new AlignlabError('DISPOSED', `This ${this.spec.id} is closed. Make another one.`);
  }

  #refuseStep(): never {
    this.requireOpen();
    throw invalid(
      `${this.spec.id} was stepped ${this.episode < 0 ? 'before a reset' : 'after its episode ended'}` +
        '. Call reset first.',
    );
  }

  #requireLength(what: string, array: { readonly length: number }, length: number): void {
    if (array.length === length) return;
    const article = what === 'action' || what === 'observation' ? 'An' : 'A';
    throw invalid(
      `${article} ${what} of ${this.spec.id} has ${length} numbers, got ${array.length}.`,
    );
  }

  #requireFinite(out: Float32Array, reward: number): void {
    let sum = reward;
    for (const value of out) sum += value;
    if (Number.isFinite(sum)) return;
    this.#going = false;
    throw new AlignlabError(
      'NON_FINITE',
      `The physics of ${this.spec.id} diverged at step ${this.steps} of episode ${this.episode} ` +
        `under the gap ${JSON.stringify(this.#gap)}. Take a smaller gap.`,
    );
  }
}
