// What a source is: where the examples of a training step come from. Online, offline, replayed and
// mixed training differ in the source and in nothing else.
import type { JsonObject, JsonValue } from '../checkpoint/json.js';
import type { Example } from '../text/example.js';

export interface SourceContext {
  /** Optimiser steps made so far: 0 for the first batch. */
  readonly step: number;
  readonly signal?: AbortSignal;
  /** Told of samples that were drawn but are not delivered (ties, failed judgements), for the log. */
  readonly dropped?: (example: Example) => void;
}

export interface Source {
  /** For the manifest: everything that decides what it yields. */
  describe(): JsonObject;
  /**
   * The next examples: `count` of them, fewer at the end of finite data, none when it is used up.
   * A group, or a pair with its prompt, is one example.
   */
  take(count: number, context: SourceContext): Promise<readonly Example[]>;
  /** Where it stands, so that `restore` on a source made alike goes on bit for bit. */
  state(): JsonValue;
  restore(state: JsonValue): void;
  /** For what does not fit into state(), such as a snapshot's weights: written into a checkpoint. */
  save?(folder: string): Promise<void>;
  load?(folder: string): Promise<void>;
  /** About the latest take, for the step's metrics: 'judge/ties', 'completions/mean_length' … */
  metrics?(): Readonly<Record<string, number>>;
  /** Examples of one pass over the data; undefined when there is no such thing. */
  readonly size?: number;
  dispose?(): Promise<void>;
}

/** A source whose examples nobody has judged: it was made without a judge. */
export interface UnlabelledSource extends Source {
  readonly unlabelled: true;
}
