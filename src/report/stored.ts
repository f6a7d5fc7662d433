// report.json: a report as it was written, so that its page can be made again, by a newer version or
// with PNG files, without the study that found it.
import { join } from 'node:path';
import * as z from 'zod';
import { readJsonFile } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type Report, checkReport, verdicts } from './report.js';

export const storedName = 'report.json';

/** Raised when an older version would misread the file. */
const formatVersion = 1;

export const storedText = (report: Report): string =>
  `${JSON.stringify({ format: formatVersion, ...report })}\n`;

const text = z.string();
const optional = <T extends z.ZodType>(type: T) => z.exactOptional(type);

const signature = z.strictObject({
  id: text,
  expected: text,
  source: optional(text),
  quantity: optional(text),
  measured: optional(z.number()),
  interval: optional(z.tuple([z.number(), z.number()])),
  level: optional(z.number()),
  unit: optional(text),
  verdict: z.enum(verdicts),
  note: optional(text),
});

const data = z.strictObject({
  columns: z.array(text),
  rows: z.array(z.array(z.union([text, z.number(), z.null()]))),
});

const figure = z.strictObject({
  name: text,
  svg: text,
  narrow: optional(text),
  alt: text,
  data: optional(data),
  title: text,
  caption: text,
  claim: optional(text),
  signatures: optional(z.array(text)),
});

const side = z.enum(['before', 'after', 'above', 'below']);

const protocol = z.strictObject({
  nodes: z.array(
    z.strictObject({
      id: text,
      label: text,
      sublabel: optional(text),
      column: z.number(),
      row: z.number(),
      rows: optional(z.number()),
      kind: optional(z.enum(['data', 'model', 'measure'])),
      arm: optional(z.number().int().min(0)),
    }),
  ),
  edges: z.array(
    z.strictObject({
      from: text,
      to: text,
      label: optional(text),
      leave: optional(side),
      enter: optional(side),
    }),
  ),
  caption: optional(text),
});

const schema: z.ZodType<Report & { format: number }> = z.strictObject({
  format: z.literal(formatVersion),
  title: text,
  question: text,
  protocol: optional(protocol),
  summary: optional(z.array(text)),
  signatures: z.array(signature),
  figures: z.array(figure),
  samples: optional(
    z.array(
      z.strictObject({
        prompt: text,
        responses: z.array(z.strictObject({ label: text, text })),
      }),
    ),
  ),
  settings: z.record(text, z.union([text, z.number(), z.boolean()])),
  deviations: optional(z.array(text)),
  manifest: z.record(text, z.unknown()),
  reproduce: z.array(text),
  files: optional(z.array(z.strictObject({ label: text, path: text }))),
});

/**
 * The report that `writeReport` left in the folder; null where there is none. Throws RUN_INVALID for
 * a file that it did not write so, OPTION_INVALID as `checkReport` does.
 */
export const readStoredReport = async (folder: string): Promise<Report | null> => {
  const path = join(folder, storedName);
  const file = await readJsonFile(path, 'RUN_INVALID');
  if (!file) return null;
  const parsed = schema.safeParse(file.value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new AlignlabError(
      'RUN_INVALID',
      `${path} is no report of this version: ${issue?.path.join('.') ?? ''}: ` +
        `${issue?.message ?? ''}. Run its study again, with --resume, and it is written anew.`,
    );
  }
  const { format: _, ...report } = parsed.data;
  checkReport(report);
  return report;
};
