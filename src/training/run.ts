// What the loop tells about a run, and what it needs back to go on with one. A run folder
// (run-folder.ts) implements Recorder; training without a folder uses none.
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import type { PolicyModel } from '../engine/policy-model.js';
import type { Source } from '../sources/source.js';

export interface TrainStep {
  /** Optimiser steps made, this one included: the first is 1, as in TRL's logs. */
  readonly index: number;
  readonly loss: number;
  /** Global norm of the gradient before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  /** Prompt and response tokens that went through training passes so far. */
  readonly tokens: number;
  /** Passes over the source's data so far; absent for endless sources. */
  readonly epoch?: number;
  readonly seconds: number;
  /** TRL's names: 'rewards/chosen', 'logps/rejected', 'kl' … */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Everything that a resumed run needs to equal the uninterrupted one bit for bit. */
export interface TrainState {
  readonly step: number;
  readonly tokens: number;
  readonly source: JsonValue;
  /** Controllers, early stopping, the rollout that is under way … by name. */
  readonly parts: Readonly<Record<string, JsonValue>>;
}

export interface CheckpointParts {
  readonly state: TrainState;
  readonly policy: PolicyModel;
  /** A reference that moves (EMA, sync), a critic. */
  readonly models: Readonly<Record<string, PolicyModel>>;
  readonly source: Source;
}

/** Where the policy runs. */
export interface Where {
  readonly device: string;
  /** Whether sampler, scorer and trainer give the same bits. */
  readonly exact: boolean;
}

export interface Recorder {
  /** Once, before the first step: what the manifest says besides the folder's own entries. */
  begin(manifest: JsonObject, where?: Where): Promise<void>;
  logStep(step: TrainStep): Promise<void>;
  logEvaluation(step: number, metrics: Readonly<Record<string, number>>): Promise<void>;
  /** Writes checkpoint-N beside and renames it; prunes old ones. */
  saveCheckpoint(parts: CheckpointParts): Promise<void>;
  /** The state of the newest whole checkpoint, read back into the models and the source. */
  restore(parts: Omit<CheckpointParts, 'state'>): Promise<TrainState | null>;
  /** Ends the run: final metrics flushed; `completed` false after an abort or error. */
  end(completed: boolean): Promise<void>;
}
