// A sampled example as a line of JSON, and back bit for bit.
import * as z from 'zod';
import type { JsonObject } from '../checkpoint/json.js';
import type { Example, Response, Text } from '../text/example.js';
import { type Provenance, type SampledExample, provenanceOf } from './provenance.js';

/** Where an example stands in a run. */
export interface Position {
  /** Optimiser steps made when it was drawn. */
  readonly step: number;
  /** Takes that the log holds before this one. */
  readonly batch: number;
  /** In its batch; null for what was drawn and not delivered. */
  readonly place: number | null;
}

// JSON has no -0, NaN and infinities. Nine digits name an f32 uniquely.
const special = ['-0', 'NaN', 'Infinity', '-Infinity'] as const;
const encodeFloat = (value: number): number | string => {
  if (Object.is(value, -0)) return '-0';
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : String(value);
};
const encodeFloats = (values: Float32Array): (number | string)[] => Array.from(values, encodeFloat);

const floats = z
  .array(z.union([z.number(), z.enum(special)]))
  .transform((values) => Float32Array.from(values, Number));
const tokens = z.array(z.int().min(0)).transform((ids) => Int32Array.from(ids));
const text: z.ZodType<Text> = z.union([
  z.string(),
  z.array(z.strictObject({ role: z.string(), content: z.string() })),
]);

const response = z.strictObject({
  tokens,
  behaviour: floats.optional(),
  reference: floats.optional(),
  reward: z.number().nullable().optional(),
  truncated: z.boolean().optional(),
  fromReference: z.boolean().optional(),
});

const sample = z.strictObject({
  generator: z.strictObject({ id: z.string(), step: z.int() }),
  sample: z.int(),
  seed: z.string(),
  processed: floats.optional(),
  text: z.string().optional(),
});

const verdict = z.strictObject({
  samples: z.tuple([z.int(), z.int()]),
  preference: z.number().nullable(),
  orders: z.tuple([z.number(), z.number()]).optional(),
  reason: z.string().optional(),
});

const provenance = z.strictObject({
  outcome: z.enum(['delivered', 'tie', 'judge-failed']),
  tie: z.boolean(),
  draw: z.int(),
  sampling: z.record(z.string(), z.json()),
  judge: z.strictObject({ name: z.string(), version: z.string() }).optional(),
  verdicts: z.array(verdict).optional(),
  promptText: text.optional(),
  samples: z.array(sample),
  opponent: z.strictObject({ response, sample }).optional(),
});

const record = z.strictObject({
  step: z.int().min(0),
  batch: z.int().min(0),
  place: z.int().min(0).nullable(),
  kind: z.enum(['pair', 'completion', 'group']),
  origin: z.string(),
  prompt: tokens,
  responses: z.array(response),
  label: z.boolean().optional(),
  margin: z.number().optional(),
  weight: z.number().optional(),
  gap: z.number().optional(),
  provenance: provenance.optional(),
});

const encodeResponse = ({ tokens: ids, behaviour, reference, ...rest }: Response): JsonObject => ({
  ...rest,
  tokens: Array.from(ids),
  ...(behaviour ? { behaviour: encodeFloats(behaviour) } : {}),
  ...(reference ? { reference: encodeFloats(reference) } : {}),
});

const encodeSample = ({ processed, ...rest }: Provenance['samples'][number]): JsonObject => ({
  ...rest,
  ...(processed ? { processed: encodeFloats(processed) } : {}),
});

const encodeProvenance = ({ samples, opponent, ...rest }: Provenance): JsonObject => ({
  ...rest,
  samples: samples.map(encodeSample),
  ...(opponent
    ? {
        opponent: {
          response: encodeResponse(opponent.response),
          sample: encodeSample(opponent.sample),
        },
      }
    : {}),
});

/** One line, without its end. */
export const encodeRecord = (example: Example, position: Position): string => {
  const { kind, origin, prompt, responses, label, margin, weight, gap } = example;
  const own = provenanceOf(example);
  return JSON.stringify({
    ...position,
    kind,
    origin,
    prompt: Array.from(prompt),
    responses: responses.map(encodeResponse),
    label,
    margin,
    weight,
    gap,
    ...(own ? { provenance: encodeProvenance(own) } : {}),
  });
};

export interface ExperienceRecord extends Position {
  readonly example: Example | SampledExample;
}

/** Throws SyntaxError or ZodError. */
export const decodeRecord = (line: string): ExperienceRecord => {
  const { step, batch, place, ...example } = record.parse(JSON.parse(line));
  // zod leaves absent keys out, so what it read is the example as it was written.
  return { step, batch, place, example: example as Example };
};
