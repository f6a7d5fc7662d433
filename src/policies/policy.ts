// A softmax policy over responses that can be enumerated, tabular or log-linear, as a model that
// train() and the sources take: exact log-probabilities, exact gradients, exact samples, exact KL.
// It computes in double precision; scores are rounded to f32, as the engine's are.
import type { Batch, BatchOptions } from '../engine/batch.js';
import type { Coefficients } from '../engine/forward-pass.js';
import type { Generation, Prompt, SamplingOptions } from '../engine/generate.js';
import type { AdamWOptions } from '../engine/optimizer.js';
import type { PolicyModel, PolicyPass } from '../engine/policy-model.js';
import { Scores } from '../engine/scores.js';
import { AlignlabError } from '../errors.js';
import { type Moments, adamWStep } from './adamw.js';
import { type PolicyState, loadMoments, loadParameters, saveMoments, saveState } from './files.js';
import type { LogitModel } from './parameters.js';
import { EnumerablePass, normalise } from './pass.js';
import { drawAll } from './sampling.js';
import type { ResponseSpace } from './space.js';
import { type Walk, walk } from './walk.js';

interface Parts {
  readonly space: ResponseSpace;
  readonly model: LogitModel;
  readonly base: Float64Array;
  readonly parameters: Float64Array;
  readonly trainable: boolean;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

interface ScoreOptions extends BatchOptions {
  readonly entropy?: boolean;
  readonly signal?: AbortSignal;
}

export class EnumerablePolicy implements PolicyModel {
  readonly space: ResponseSpace;
  readonly trainable: boolean;
  readonly dtype = 'f32';
  readonly endTokens: readonly number[] = [];
  readonly #parts: Parts;
  readonly #parameters: Float64Array;
  #gradients: Float64Array | null = null;
  #moments: Moments | null = null;
  #steps = 0;
  #logProbs: Float64Array | null = null;
  #disposed = false;

  constructor(parts: Parts) {
    const { space, base, model, parameters, trainable } = parts;
    if (![...base, ...parameters].every(Number.isFinite)) {
      refuse('Logits and parameters of a policy must be finite. For "never", take -100 or less.');
    }
    if (parameters.length !== model.parameters) {
      refuse(`The policy has ${model.parameters} parameters, got ${parameters.length}.`);
    }
    this.#parts = parts;
    this.#parameters = parameters.slice();
    [this.space, this.trainable] = [space, trainable];
  }

  get family(): string {
    return this.#parts.model.family;
  }

  get shape(): { readonly maxPosition: number } {
    const prompt = Math.max(...this.space.prompts.map(({ length }) => length));
    return { maxPosition: prompt + this.space.longest };
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Optimiser steps made. */
  get steps(): number {
    return this.#steps;
  }

  /** A copy. */
  get parameters(): Float64Array {
    return this.#parameters.slice();
  }

  /** A copy of the accumulated gradients; zeros where there are none. */
  get gradients(): Float64Array {
    return this.#gradients?.slice() ?? new Float64Array(this.#parameters.length);
  }

  /** log pi(token | state) of each edge after a prompt, in double precision; not to be written to. */
  edgeLogProbs(prompt: number): Float64Array {
    const { edges } = this.space;
    return this.#table().subarray(prompt * edges, (prompt + 1) * edges);
  }

  /** Derivatives by the parameters from derivatives by the logits, which are prompt-major. */
  chain(byLogits: Float64Array): Float64Array {
    const found = new Float64Array(this.#parameters.length);
    this.#parts.model.back(found, byLogits);
    return found;
  }

  score(batch: Batch, options: ScoreOptions = {}): Promise<Scores> {
    return Promise.resolve(this.#scores(walk(this.space, batch, options), options));
  }

  forward(batch: Batch, options: ScoreOptions = {}): Promise<PolicyPass> {
    if (!this.trainable) refuse('The policy is frozen. Clone it with trainable: true.');
    const path = walk(this.space, batch, options);
    const table = this.#table();
    const back = (coefficients: Coefficients): void => {
      this.#back(path, table, coefficients);
    };
    return Promise.resolve(new EnumerablePass(this.#scores(path, options), back));
  }

  kl(other: PolicyModel, batch: Batch): Promise<{ kl: Float32Array; offsets: Int32Array }> {
    if (!(other instanceof EnumerablePolicy) || other.space !== this.space) {
      return refuse('The KL is taken to a policy over the same ResponseSpace.');
    }
    const { states, offsets } = walk(this.space, batch);
    const [own, theirs] = [this.#table(), other.#table()];
    const kl = Float32Array.from(states, (state) =>
      this.#over(state, (edge) => Math.exp(own[edge]!) * (own[edge]! - theirs[edge]!)),
    );
    return Promise.resolve({ kl, offsets });
  }

  generate(prompts: readonly Prompt[], options: SamplingOptions = {}): Promise<Generation[]> {
    const { firstEdge } = this.space;
    const at = (prompt: number, state: number): Float64Array =>
      this.edgeLogProbs(prompt).subarray(firstEdge[state], firstEdge[state + 1]);
    return Promise.resolve(drawAll({ space: this.space, at }, prompts, options));
  }

  step(options: AdamWOptions): Promise<{ readonly gradNorm: number }> {
    const gradients =
      this.#gradients ?? refuse('There are no gradients to step along. Call backward() first.');
    const count = this.#parameters.length;
    this.#moments ??= { first: new Float64Array(count), second: new Float64Array(count) };
    this.#gradients = null;
    const next = this.#steps + 1;
    const gradNorm = adamWStep(this.#parameters, gradients, this.#moments, next, options);
    this.#steps = next;
    this.#logProbs = null;
    return Promise.resolve({ gradNorm });
  }

  zeroGradients(): Promise<void> {
    this.#gradients = null;
    return Promise.resolve();
  }

  clone({ trainable = this.trainable }: { readonly trainable?: boolean } = {}) {
    const copy = { ...this.#parts, parameters: this.#parameters, trainable };
    return Promise.resolve(new EnumerablePolicy(copy));
  }

  /** A copy with other parameters. */
  withParameters(parameters: Float64Array): EnumerablePolicy {
    return new EnumerablePolicy({ ...this.#parts, parameters });
  }

  /** parameters = (1 - weight) parameters + weight other's. */
  blend(other: PolicyModel, weight: number): Promise<void> {
    if (!(other instanceof EnumerablePolicy) || other.#parts.model !== this.#parts.model) {
      return refuse('A policy is blended with a clone of it.');
    }
    if (!(weight >= 0 && weight <= 1)) {
      refuse(`The weight of a blend must be between 0 and 1, got ${weight}.`);
    }
    for (const [i, own] of this.#parameters.entries()) {
      this.#parameters[i] = (1 - weight) * own + weight * other.#parameters[i]!;
    }
    this.#logProbs = null;
    return Promise.resolve();
  }

  async save(folder: string): Promise<void> {
    await saveState(folder, this.#state);
  }

  async loadWeights(folder: string): Promise<void> {
    this.#parameters.set(await loadParameters(folder, this.#state));
    this.#logProbs = null;
  }

  async saveOptimizer(folder: string): Promise<void> {
    await saveMoments(folder, this.#state, { moments: this.#moments, steps: this.#steps });
  }

  async loadOptimizer(folder: string): Promise<void> {
    const { moments, steps } = await loadMoments(folder, this.#state);
    [this.#moments, this.#steps] = [moments, steps];
  }

  dispose(): Promise<void> {
    this.#disposed = true;
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  get #state(): PolicyState {
    const { space, model, base } = this.#parts;
    return { space, model, base, parameters: this.#parameters };
  }

  /** Of all prompts; replaced, not changed, when the parameters move. */
  #table(): Float64Array {
    if (this.#disposed) throw new AlignlabError('DISPOSED', 'The policy has been disposed of.');
    if (this.#logProbs) return this.#logProbs;
    const { space, model, base } = this.#parts;
    const logits = base.slice();
    model.add(logits, this.#parameters);
    return (this.#logProbs = normalise(space, logits));
  }

  /** Sum over the edges of a state; both prompt-major. */
  #over(state: number, value: (edge: number) => number): number {
    const [first, end] = this.#edgesOf(state);
    let sum = 0;
    for (let edge = first; edge < end; edge += 1) sum += value(edge);
    return sum;
  }

  #edgesOf(state: number): readonly [first: number, end: number] {
    const { firstEdge, states, edges } = this.space;
    const [start, own] = [Math.floor(state / states) * edges, state % states];
    return [start + firstEdge[own]!, start + firstEdge[own + 1]!];
  }

  #scores({ edges, states, offsets }: Walk, { entropy = false }: ScoreOptions): Scores {
    const table = this.#table();
    const entropyAt = (state: number): number =>
      -this.#over(state, (edge) => Math.exp(table[edge]!) * table[edge]!);
    return new Scores({
      logProbs: Float32Array.from(edges, (edge) => table[edge]!),
      entropies: entropy ? Float32Array.from(states, entropyAt) : new Float32Array(0),
      scalars: new Float32Array(0),
      offsets,
    });
  }

  /**
   * d log pi(e) / d z(f) = [e = f] - pi(f) and dH / d z(f) = -pi(f) (log pi(f) + H) among the edges
   * of one state. Coefficients of a state are summed first: a pass costs edges, not tokens times
   * edges.
   */
  #back({ edges, states }: Walk, table: Float64Array, given: Coefficients): void {
    const { logProbs, entropies } = given;
    const byLogits = new Float64Array(table.length);
    const slopes = new Map<number, { logProb: number; entropy: number }>();
    edges.forEach((edge, t) => {
      const [slope, ofEntropy] = [logProbs?.[t] ?? 0, entropies?.[t] ?? 0];
      if (slope === 0 && ofEntropy === 0) return;
      byLogits[edge]! += slope;
      const sum = slopes.get(states[t]!) ?? { logProb: 0, entropy: 0 };
      slopes.set(states[t]!, {
        logProb: sum.logProb + slope,
        entropy: sum.entropy + ofEntropy,
      });
    });
    for (const [state, { logProb, entropy }] of slopes) {
      const h = -this.#over(state, (edge) => Math.exp(table[edge]!) * table[edge]!);
      const [first, end] = this.#edgesOf(state);
      for (let edge = first; edge < end; edge += 1) {
        const p = Math.exp(table[edge]!);
        byLogits[edge]! -= p * (logProb + entropy * (table[edge]! + h));
      }
    }
    this.#gradients ??= new Float64Array(this.#parameters.length);
    this.#parts.model.back(this.#gradients, byLogits);
  }
}
