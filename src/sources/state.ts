// Reading back what a source's state() gave, and options that sources share.
import * as z from 'zod';
import type { JsonValue } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { requireWhole } from '../options.js';

/** Throws RUN_INVALID for a state that another kind of source wrote. */
export const readState = <Schema extends z.ZodType>(
  schema: Schema,
  state: JsonValue,
  source: string,
): z.output<Schema> => {
  const parsed = schema.safeParse(state);
  if (parsed.success) return parsed.data;
  throw new AlignlabError(
    'RUN_INVALID',
    `The saved state of the ${source} does not fit: ` +
      `${z.prettifyError(parsed.error).replaceAll(/\s*\n\s*/g, ' ')}. ` +
      'Resume with the sources that the run was started with.',
  );
};

export const jsonState = z.custom<JsonValue>((value) => value !== undefined);

/** For what may go on without end. */
export const requireWholeOrEndless = (name: string, value: number): void => {
  if (value !== Infinity) requireWhole(name, value);
};

export const requireChoice = (name: string, value: string, choices: readonly string[]): void => {
  if (choices.includes(value)) return;
  throw new AlignlabError(
    'OPTION_INVALID',
    `${name} must be one of ${choices.join(', ')}, got ${value}.`,
  );
};
