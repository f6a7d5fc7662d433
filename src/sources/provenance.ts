// Where sampled examples come from: everything that is needed to replay, relabel or audit them.
import type { JsonValue } from '../checkpoint/json.js';
import type { Example, Response, Text } from '../text/example.js';

export interface Generator {
  /** 'policy', 'reference', 'mixture(0.5)' or a name that was given. */
  readonly id: string;
  /** Optimiser steps that its weights had. */
  readonly step: number;
}

export interface SampleProvenance {
  readonly generator: Generator;
  /** Place among the samples of the prompt, in the order in which they were drawn. */
  readonly sample: number;
  /** Of this sequence's random stream. */
  readonly seed: string;
  /** Under the distribution that was drawn from, where it is not the generator's own. */
  readonly processed?: Float32Array;
  readonly text?: string;
}

/** A judge's answer about two samples of a prompt. */
export interface RecordedVerdict {
  /** Which were first and second. */
  readonly samples: readonly [number, number];
  readonly preference: number | null;
  readonly orders?: readonly [number, number];
  readonly reason?: string;
}

export type Outcome = 'delivered' | 'tie' | 'judge-failed';

export interface Provenance {
  readonly outcome: Outcome;
  /** Also for ties that were resolved instead of dropped. */
  readonly tie: boolean;
  /** Prompts drawn by the source before this one. */
  readonly draw: number;
  readonly sampling: Readonly<Record<string, JsonValue>>;
  readonly judge?: { readonly name: string; readonly version: string };
  readonly verdicts?: readonly RecordedVerdict[];
  readonly promptText?: Text;
  /** One for each response of the example, in its order. */
  readonly samples: readonly SampleProvenance[];
  /** What the responses were compared with, where that is no part of the example (Nash-MD). */
  readonly opponent?: { readonly response: Response; readonly sample: SampleProvenance };
}

/** An example that was sampled; sources yield it where examples are asked for. */
export interface SampledExample extends Example {
  readonly provenance: Provenance;
}

export const provenanceOf = (example: Example): Provenance | undefined =>
  'provenance' in example ? (example as SampledExample).provenance : undefined;
