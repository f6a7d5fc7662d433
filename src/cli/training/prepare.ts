// Everything of a run that can be made, and can be wrong, before weights are loaded: the model's
// folder, the encoder, the rows.
import { type Checkpoint, readCheckpoint } from '../../checkpoint/checkpoint.js';
import type { JsonObject } from '../../checkpoint/json.js';
import type { Items } from '../../sources/cursor.js';
import type { PolicyPrompt } from '../../sources/prompts.js';
import type { Encoder } from '../../text/encoding.js';
import type { Example } from '../../text/example.js';
import { namesIn, openingOf } from '../../training/open-folder.js';
import { invalid } from '../config/layers.js';
import type { ResolvedConfig } from '../config/resolve.js';
import { modelFolder } from '../models.js';
import {
  type Loaded,
  encodeWith,
  forObjective,
  loadExamples,
  loadPrompts,
  openData,
  streamExamples,
} from './data.js';
import { openEncoder, tokenizerFolder } from './text.js';
import { openDataset } from '../../data/open.js';

interface Rows {
  /** Of the dataset; null for commands that only sample. */
  readonly examples: Items<Example> | null;
  /** Where `examples` is a list: what became of the rows. */
  readonly loaded: Loaded<Example> | null;
  readonly prompts: Loaded<PolicyPrompt> | null;
  /** Held-out rows, or prompts for commands that only sample. */
  readonly heldOut: readonly Example[] | null;
  readonly heldOutPrompts: readonly PolicyPrompt[] | null;
  /** For the manifest. */
  readonly data: JsonObject;
}

export interface Prepared extends Rows {
  readonly config: ResolvedConfig;
  readonly folder: string;
  readonly checkpoint: Checkpoint;
  readonly tokenizer: string;
  readonly encoder: Encoder;
  /** Tokens of prompt and response together at most. */
  readonly maxLength: number;
}

const resumeOf = ({ settings }: ResolvedConfig): boolean | string =>
  settings.resume_from_checkpoint ?? false;

/** Of a run folder, as RunFolder.open takes it. */
export const openingOptions = (config: ResolvedConfig) => ({
  resume: resumeOf(config),
  overwrite: config.settings.overwrite_output_dir,
});

/** The output folder, checked without touching it. */
export const checkOutput = async (config: ResolvedConfig): Promise<string> => {
  const { output_dir: output } = config.settings;
  if (output === null) throw invalid('There is no place for the results. Name one by --output.');
  try {
    openingOf(output, await namesIn(output), openingOptions(config));
  } catch (error) {
    if (error instanceof Error && error.message.includes('holds another run')) {
      throw invalid(
        `${output} holds another run. Take a new folder, go on with that run by ` +
          '--resume-from-checkpoint auto, or replace it by --overwrite-output-dir.',
      );
    }
    throw error;
  }
  return output;
};

const noRows: Rows = {
  examples: null,
  loaded: null,
  prompts: null,
  heldOut: null,
  heldOutPrompts: null,
  data: {},
};

const sampledRows = async (config: ResolvedConfig, encoder: Encoder): Promise<Rows> => {
  const { settings } = config;
  if (settings.replay !== null) return noRows;
  const { train, test } = await openData(
    settings.prompts === null ? settings : { ...settings, dataset_name: settings.prompts },
  );
  const prompts = await loadPrompts(train, encoder);
  const held = test ? await loadPrompts(test, encoder) : null;
  return {
    ...noRows,
    prompts,
    heldOutPrompts: held?.items ?? null,
    data: { prompts: prompts.description },
  };
};

const promptsBeside = async (config: ResolvedConfig, encoder: Encoder) => {
  const { prompts: path } = config.settings;
  return loadPrompts(
    path === null ? (await openData(config.settings)).train : await openDataset(path),
    encoder,
  );
};

const datasetRows = async (
  config: ResolvedConfig,
  encoder: Encoder,
  ofPrompts: Encoder,
): Promise<Rows> => {
  const { settings, objective, command } = config;
  const { train, test } = await openData(settings);
  const encode = encodeWith(encoder, objective, settings);
  const own = forObjective(train, objective);
  const held = test ? (await loadExamples(forObjective(test, objective), encode)).items : null;
  if (settings.dataset_streaming) {
    const examples = streamExamples(own, encode);
    return { ...noRows, examples, heldOut: held, data: { dataset: own.describe() } };
  }
  const loaded = await loadExamples(own, encode);
  const prompts = command.source === 'hybrid' ? await promptsBeside(config, ofPrompts) : null;
  return {
    ...noRows,
    examples: loaded.items,
    loaded,
    prompts,
    heldOut: held,
    data: {
      dataset: loaded.description,
      ...(prompts ? { prompts: prompts.description } : {}),
    },
  };
};

/** Throws what is wrong with folders, tokenizer and rows; loads no weights and writes nothing. */
export const prepare = async (config: ResolvedConfig): Promise<Prepared> => {
  const { settings, command } = config;
  if (settings.model_name_or_path === null) {
    throw invalid('There is no model to train. Name the folder of a checkpoint by --model.');
  }
  const folder = await modelFolder(settings.model_name_or_path);
  const checkpoint = await readCheckpoint(folder);
  const tokenizer = await tokenizerFolder(folder, settings);
  const positions = checkpoint.shape.maxPosition;
  const maxLength = Math.min(settings.max_length ?? positions, positions);
  // Where rows are trained on beside samples, the limit is that of the samples.
  const ofRows =
    command.source === 'hybrid' ? { ...settings, max_completion_length: null } : settings;
  const encoder = await openEncoder(tokenizer, ofRows, positions);
  const ofPrompts =
    ofRows === settings ? encoder : await openEncoder(tokenizer, settings, positions);
  const rows =
    command.source === 'on-policy'
      ? await sampledRows(config, ofPrompts)
      : await datasetRows(config, encoder, ofPrompts);
  return { config, folder, checkpoint, tokenizer, encoder, maxLength, ...rows };
};
