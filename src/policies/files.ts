// Enumerable policies in folders, so that run folders and resumed runs work with them:
// policy.json holds the parameters, optimizer.json the moments; numbers are bytes in base64.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type JsonObject, readJsonFile } from '../checkpoint/json.js';
import { contentHash } from '../data/content-hash.js';
import { AlignlabError, fromSystem } from '../errors.js';
import { writeWhole } from '../files.js';
import type { Moments } from './adamw.js';
import type { LogitModel } from './parameters.js';
import type { ResponseSpace } from './space.js';

export interface PolicyState {
  readonly space: ResponseSpace;
  readonly model: LogitModel;
  readonly base: Float64Array;
  readonly parameters: Float64Array;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Of what the parameters belong to. */
const hashOf = ({ space, model, base }: PolicyState): string =>
  contentHash(
    model.family,
    space.firstEdge,
    space.tokens,
    space.next,
    ...space.prompts,
    bytesOf(base),
    model.content,
  );

const encode = (values: Float64Array): string => Buffer.from(bytesOf(values)).toString('base64');

const write = async (folder: string, name: string, content: JsonObject): Promise<void> => {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw fromSystem(cause, `make the folder ${folder}`);
  });
  await writeWhole(join(folder, name), `${JSON.stringify(content)}\n`);
};

const read = async (folder: string, name: string, state: PolicyState): Promise<JsonObject> => {
  const path = join(folder, name);
  const file = await readJsonFile(path, 'CHECKPOINT_INVALID');
  if (file?.value.policy === hashOf(state)) return file.value;
  throw new AlignlabError(
    'CHECKPOINT_INVALID',
    `${path} ${file ? 'is of another policy' : 'is missing'}. Load what save() of a policy of the ` +
      'same responses, features and logits wrote.',
  );
};

const decode = (value: unknown, length: number, place: string): Float64Array => {
  const bytes = new Uint8Array(Buffer.from(typeof value === 'string' ? value : '', 'base64'));
  if (bytes.length === 8 * length) return new Float64Array(bytes.buffer);
  throw new AlignlabError('CHECKPOINT_INVALID', `${place} holds no ${length} numbers.`);
};

export const saveState = (folder: string, state: PolicyState): Promise<void> =>
  write(folder, 'policy.json', { policy: hashOf(state), parameters: encode(state.parameters) });

export const loadParameters = async (folder: string, state: PolicyState): Promise<Float64Array> => {
  const { parameters } = await read(folder, 'policy.json', state);
  return decode(parameters, state.parameters.length, join(folder, 'policy.json'));
};

export interface OptimizerState {
  readonly moments: Moments | null;
  readonly steps: number;
}

export const saveMoments = (
  folder: string,
  state: PolicyState,
  { moments, steps }: OptimizerState,
): Promise<void> =>
  write(folder, 'optimizer.json', {
    policy: hashOf(state),
    steps,
    first: moments && encode(moments.first),
    second: moments && encode(moments.second),
  });

export const loadMoments = async (folder: string, state: PolicyState): Promise<OptimizerState> => {
  const { steps, first, second } = await read(folder, 'optimizer.json', state);
  const place = join(folder, 'optimizer.json');
  if (!Number.isSafeInteger(steps)) {
    throw new AlignlabError('CHECKPOINT_INVALID', `${place} has no number of steps.`);
  }
  const decoded = (value: unknown): Float64Array => decode(value, state.parameters.length, place);
  const moments = first === null ? null : { first: decoded(first), second: decoded(second) };
  return { moments, steps: steps as number };
};
