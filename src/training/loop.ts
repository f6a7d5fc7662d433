// The state of a run and one step of it.
import { performance } from 'node:perf_hooks';
import type { JsonValue } from '../checkpoint/json.js';
import type { PolicyModel } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import type { Objective, Row } from '../objectives/objective.js';
import { abortable, aborted } from './abortable.js';
import { type Accumulated, accumulate, namingExamples } from './accumulate.js';
import { gatherExperience, rowsBefore } from './experience.js';
import { checkStart } from './invariants.js';
import type { Learner } from './learner.js';
import { describeRun } from './describe.js';
import { samplingMismatch } from './mismatch.js';
import { meanOfScopes, scopesOf } from './normalization.js';
import { type Settings, dueSteps } from './options.js';
import type { Reference } from './reference.js';
import { type Rollout, isUsedUp, miniBatchOf, rolloutFromJson, rolloutToJson } from './rollouts.js';
import type { Experience } from './rows.js';
import { type Rates, learningRates } from './rates.js';
import type { CheckpointParts, TrainState, TrainStep } from './run.js';

interface Parts {
  readonly loss: number;
  readonly tokens: number;
  readonly metrics: TrainStep['metrics'];
}

interface GradNorms {
  readonly policy: number;
  readonly critic: TrainStep['metrics'];
}

export class Loop {
  readonly #settings: Settings;
  readonly #learner: Learner;
  readonly #rates: Rates;
  readonly #evaluates: (step: number) => boolean;
  readonly #saves: (step: number) => boolean;
  #step = 0;
  #tokens = 0;
  /** Examples taken from the source. */
  #taken = 0;
  #rollout: Rollout | null = null;
  #adaptation: number | null;
  #fresh = true;
  #saved = -1;
  #stopped = false;
  #completed = false;
  #begun = false;

  constructor(settings: Settings, reference: Reference<PolicyModel> | null) {
    this.#settings = settings;
    const { policy, objective, critic = null, signal } = settings;
    this.#learner = {
      policy,
      objective,
      reference,
      critic,
      maxTokens: settings.maxTokensPerPass,
      maxLength: settings.maxLength,
      recompute: settings.recompute ?? false,
      entropy: settings.logEntropy ?? false,
      ...(signal ? { signal } : {}),
    };
    this.#adaptation = objective.adaptation?.start ?? null;
    this.#rates = learningRates(settings);
    this.#evaluates = dueSteps(settings.evaluate?.every, settings.steps);
    this.#saves = dueSteps(settings.checkpoints, settings.steps);
  }

  get finished(): boolean {
    return this.#stopped || this.#step >= this.#settings.steps;
  }

  async begin(): Promise<void> {
    const { recorder, resume, source, evaluate } = this.#settings;
    this.#checkAbort();
    const { device = 'cpu', exact = true } = this.#settings.policy;
    await recorder?.begin(describeRun(this.#settings, this.#learner.reference), { device, exact });
    this.#begun = true;
    if (typeof resume === 'object') {
      source.restore(resume.source);
      this.#restore(resume);
    } else if (resume) {
      const { policy } = this.#settings;
      const state = await recorder!.restore({ policy, source, models: this.#models() });
      if (state) this.#restore(state);
    }
    if (evaluate?.atStart && this.#step === 0) await this.#evaluate();
  }

  /** Makes a step; null when the source is used up. */
  async next(): Promise<TrainStep | null> {
    const started = performance.now();
    this.#checkAbort();
    const batch = await this.#nextBatch();
    if (!batch) return null;
    const { recorder, referenceSync } = this.#settings;
    const parts = await this.#guarded(batch);
    const rate = this.#rates.policy(this.#step + 1);
    const gradNorms = await this.#optimize(batch);
    this.#step += 1;
    this.#tokens += parts.tokens;
    this.#afterUse();
    if (referenceSync && this.#step % referenceSync.every === 0) {
      await this.#learner.reference!.model!.blend(this.#learner.policy, referenceSync.alpha);
    }
    const { size } = this.#settings.source;
    const step: TrainStep = {
      index: this.#step,
      loss: parts.loss,
      gradNorm: gradNorms.policy,
      learningRate: rate,
      tokens: this.#tokens,
      ...(size ? { epoch: this.#taken / size } : {}),
      seconds: (performance.now() - started) / 1000,
      metrics: { ...parts.metrics, ...gradNorms.critic },
    };
    await recorder?.logStep(step);
    if (this.#evaluates(this.#step)) await this.#evaluate();
    if (this.#saves(this.#step)) await this.#save();
    return step;
  }

  async complete(): Promise<void> {
    if (this.#settings.checkpoints !== undefined) await this.#save();
    this.#completed = true;
  }

  async end(): Promise<void> {
    if (this.#begun) await this.#settings.recorder?.end(this.#completed);
  }

  #checkAbort(): void {
    if (this.#settings.signal?.aborted) throw aborted();
  }

  /** The objective with what it has adapted to so far. */
  get #objective(): Objective {
    const { objective } = this.#settings;
    return this.#adaptation === null ? objective : objective.adaptation!.at(this.#adaptation);
  }

  get #current(): Learner {
    return { ...this.#learner, objective: this.#objective };
  }

  /** All samples are drawn from the policy. */
  get #onPolicy(): boolean {
    return this.#settings.source.describe().source === 'on-policy';
  }

  async #nextBatch(): Promise<readonly Experience[] | null> {
    const { source, batchSize, rollouts, seed, signal } = this.#settings;
    if (!this.#rollout) {
      const context = { step: this.#step, ...(signal ? { signal } : {}) };
      const count = batchSize * rollouts.miniBatches;
      const examples = await abortable(source.take(count, context), signal);
      this.#checkAbort();
      if (examples.length === 0) return null;
      this.#taken += examples.length;
      const experiences = await gatherExperience(this.#current, examples);
      const metrics = source.metrics?.() ?? {};
      this.#rollout = { experiences, takenAt: this.#step, used: 0, metrics };
    }
    return miniBatchOf(this.#rollout, rollouts, seed);
  }

  /** Forward and backward; after a failure nothing is left in the gradients. */
  async #guarded(batch: readonly Experience[]): Promise<Parts> {
    try {
      return await this.#accumulate(batch);
    } catch (error) {
      await this.#clearGradients();
      throw error;
    }
  }

  async #accumulate(batch: readonly Experience[]): Promise<Parts> {
    const scopes = scopesOf(batch, this.#settings.normalization);
    const learner = this.#current;
    const results: Accumulated[] = [];
    for (const scope of scopes) {
      results.push(await accumulate(learner, scope, 1 / scopes.length));
    }
    const loss = results.reduce((sum, result) => sum + result.loss, 0) / scopes.length;
    const rows = results.flatMap((result) => result.rows);
    if (this.#fresh) this.#checkStart(batch, loss, rows);
    this.#fresh = false;
    return {
      loss,
      tokens: results.reduce((sum, { tokens }) => sum + tokens, 0),
      metrics: {
        ...samplingMismatch(rows, {
          onPolicy: this.#onPolicy,
          used: 0,
          metrics: {},
          ...this.#rollout,
        }),
        ...meanOfScopes(results.map(({ metrics }) => metrics)),
        ...this.#rollout?.metrics,
      },
    };
  }

  #checkStart(batch: readonly Experience[], loss: number, rows: readonly Row[]): void {
    const { startsFromReference = true, startsOnPolicy, policy } = this.#settings;
    const { reference } = this.#learner;
    checkStart(
      this.#objective,
      batch,
      { loss, rows },
      {
        reference: startsFromReference,
        onPolicy: startsOnPolicy ?? this.#onPolicy,
        exact: policy.exact ?? true,
        sameDtype: !reference?.model || reference.model.dtype === policy.dtype,
      },
    );
  }

  async #optimize(batch: readonly Experience[]): Promise<GradNorms> {
    const { policy, critic } = this.#learner;
    try {
      // Both norms are known to be finite before either model moves.
      const ofCritic = critic ? await critic.model.gradNorm() : 0;
      if (!Number.isFinite(ofCritic)) {
        throw new AlignlabError('NON_FINITE', "The norm of the critic's gradient is not finite.");
      }
      const { gradNorm } = await policy.step(
        this.#rates.of(this.#settings.optimizer, this.#step + 1),
      );
      if (!critic) return { policy: gradNorm, critic: {} };
      const optimizer = critic.optimizer ?? this.#settings.optimizer;
      const own = await critic.model.step(this.#rates.of(optimizer, this.#step + 1));
      return { policy: gradNorm, critic: { 'critic/grad_norm': own.gradNorm } };
    } catch (error) {
      await this.#clearGradients();
      return namingExamples(batch, Promise.reject(error as Error));
    }
  }

  async #clearGradients(): Promise<void> {
    const { policy, critic } = this.#learner;
    if (!policy.disposed) await policy.zeroGradients();
    if (critic && !critic.model.disposed) await critic.model.zeroGradients();
  }

  #afterUse(): void {
    const rollout = { ...this.#rollout!, used: this.#rollout!.used + 1 };
    this.#rollout = rollout;
    if (!isUsedUp(rollout, this.#settings.rollouts)) return;
    this.#rollout = null;
    const { adaptation } = this.#settings.objective;
    if (!adaptation || this.#adaptation === null) return;
    const rows = rowsBefore(rollout.experiences);
    this.#adaptation = adaptation.next(this.#adaptation, rows);
  }

  async #evaluate(): Promise<void> {
    const { evaluate, recorder, earlyStop, signal, policy } = this.#settings;
    const { reference } = this.#learner;
    const context = { step: this.#step, policy, reference, ...(signal ? { signal } : {}) };
    const metrics = await abortable(evaluate!.run(context), signal);
    await recorder?.logEvaluation(this.#step, metrics);
    if (earlyStop?.update(this.#step, metrics)) this.#stopped = true;
  }

  /** Models whose weights the run changes, besides the policy. */
  #models(): Record<string, PolicyModel> {
    const { referenceSync, critic } = this.#settings;
    const moving = referenceSync ? this.#learner.reference?.model : undefined;
    return {
      ...(moving ? { reference: moving } : {}),
      ...(critic ? { critic: critic.model } : {}),
    };
  }

  async #save(): Promise<void> {
    const { recorder, policy, source } = this.#settings;
    if (this.#saved === this.#step) return;
    this.#saved = this.#step;
    const parts: CheckpointParts = { state: this.#state(), policy, models: this.#models(), source };
    await recorder?.saveCheckpoint(parts);
  }

  #state(): TrainState {
    const { source, earlyStop } = this.#settings;
    const parts: Record<string, JsonValue> = {
      taken: this.#taken,
      ...(this.#rollout ? { rollout: rolloutToJson(this.#rollout) } : {}),
      ...(this.#adaptation === null ? {} : { adaptation: this.#adaptation }),
      ...(earlyStop ? { earlyStop: earlyStop.state(), stopped: this.#stopped } : {}),
    };
    return { step: this.#step, tokens: this.#tokens, source: source.state(), parts };
  }

  #restore({ step, tokens, parts }: TrainState): void {
    this.#step = step;
    this.#tokens = tokens;
    this.#taken = Number(parts.taken ?? 0);
    this.#rollout = parts.rollout === undefined ? null : rolloutFromJson(parts.rollout);
    if (parts.adaptation !== undefined) this.#adaptation = Number(parts.adaptation);
    if (parts.earlyStop !== undefined) this.#settings.earlyStop?.restore(parts.earlyStop);
    this.#stopped = parts.stopped === true;
    this.#fresh = step === 0;
    this.#saved = step;
  }
}
