// A training run from the command line: header, folder, loop, progress, and where things are.
import { basename, join, resolve } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import type { Judge } from '../../judges/judge.js';
import type { LanguageModel } from '../../engine/model.js';
import { ExperienceLog, recording } from '../../sources/experience-log.js';
import type { Source } from '../../sources/source.js';
import type { TrainOptions } from '../../training/options.js';
import { Progress } from '../../training/progress.js';
import { type Reference, cachedReference, hashFolder } from '../../training/reference.js';
import { RunFolder } from '../../training/run-folder.js';
import { train } from '../../training/train.js';
import { type SettingName, settingNames } from '../config/keys.js';
import { invalid } from '../config/layers.js';
import { type ResolvedConfig, infoOf, missingScopes } from '../config/resolve.js';
import { note, print } from '../output.js';
import { modelFolder } from '../models.js';
import { evaluationOf } from './evaluation.js';
import { header } from './header.js';
import { Interrupt } from './interrupt.js';
import { type RunModels, loadModels } from './models.js';
import { type Plans, optimizerOf, plansOf, stepOptions } from './plan.js';
import { type Prepared, checkOutput, openingOptions, prepare } from './prepare.js';
import { checkJudge, makeSource, openTrainingJudge } from './source.js';

/** About this invocation, not about the run. */
const invocation: readonly SettingName[] = ['resume_from_checkpoint', 'overwrite_output_dir'];

/** What a resumed run may change, since no number of it depends on them. */
const mayChange: readonly SettingName[] = [
  ...['output_dir', 'threads', 'device', 'run_name', 'report_to', 'logging_steps'],
  ...['save_strategy', 'save_steps', 'save_total_limit'],
] as SettingName[];

/** As config.yaml records it; read back by --config, it resolves to the same run. */
export const recordedConfig = (config: ResolvedConfig): JsonObject => {
  const { settings, options } = config;
  const missing = missingScopes(config);
  const kept = settingNames.filter(
    (name) => !invocation.includes(name) && missing[infoOf(name).scope] === undefined,
  );
  return { ...options, ...Object.fromEntries(kept.map((name) => [name, settings[name]])) };
};

const openFolder = (output: string, { config, tokenizer }: Prepared): Promise<RunFolder> => {
  const { settings } = config;
  return RunFolder.open(output, {
    config: recordedConfig(config),
    mayChange,
    ...openingOptions(config),
    ...(settings.save_total_limit === null ? {} : { saveTotalLimit: settings.save_total_limit }),
    reportTo: settings.report_to,
    tokenizer,
  });
};

interface RunReference {
  readonly reference: LanguageModel | Reference | null;
  /** Whether the policy starts as a copy of it. */
  readonly isStart: boolean;
}

const precomputed = async (
  prepared: Prepared,
  models: RunModels,
  output: string,
): Promise<Reference> => {
  const { config, loaded, heldOut } = prepared;
  if (!loaded || config.command.source !== 'dataset') {
    throw invalid(
      'precompute_ref_log_probs needs rows that are known before: a dataset in memory, without ' +
        'samples of the policy. Remove it.',
    );
  }
  const model = models.reference ?? (await models.policy.clone({ trainable: false }));
  const cache = await cachedReference({ model, file: join(output, 'reference.jsonl') });
  const rows = [...loaded.items, ...(heldOut ?? [])];
  for (let at = 0; at < rows.length; at += 64) {
    await cache.logProbs(rows.slice(at, at + 64), { maxTokens: 8192 });
  }
  const { hits, misses } = cache.counts;
  note(`reference: ${misses} responses scored, ${hits} found in the cache`);
  // KTO asks for further ones, so the model stays; otherwise its memory is given back.
  if (!config.objective.needs.mismatched) await model.dispose();
  return cache;
};

const referenceOf = async (
  prepared: Prepared,
  models: RunModels,
  output: string,
): Promise<RunReference> => {
  const { config, folder } = prepared;
  const { settings, objective, command } = config;
  if (!objective.needs.reference) return { reference: null, isStart: true };
  const isStart = settings.ref_model === null || (await modelFolder(settings.ref_model)) === folder;
  if (settings.precompute_ref_log_probs) {
    return { reference: await precomputed(prepared, models, output), isStart };
  }
  if (models.reference) return { reference: models.reference, isStart };
  // The loop makes one of its own; samples are recorded with their log-probabilities under it.
  if (command.source === 'dataset') return { reference: null, isStart };
  return { reference: await models.policy.clone({ trainable: false }), isStart };
};

const asModel = (reference: RunReference['reference']): LanguageModel | null => {
  if (!reference) return null;
  return 'logProbs' in reference ? (reference.model ?? null) : reference;
};

const manifestOf = async ({ config, folder, data, encoder }: Prepared): Promise<JsonObject> => ({
  command: config.command.name,
  ...(config.settings.run_name === null ? {} : { name: config.settings.run_name }),
  model: { folder: basename(resolve(folder)), weights: await hashFolder(folder) },
  data,
  encoding: encoder.describe(),
});

interface Assembled {
  readonly options: TrainOptions;
  readonly plans: Plans;
  readonly progress: Progress;
}

const criticOf = ({ config }: Prepared, { critic }: RunModels): Pick<TrainOptions, 'critic'> => {
  if (!critic) return {};
  const { value_learning_rate: rate } = config.settings;
  const optimizer = rate === null ? {} : { optimizer: optimizerOf(config.settings, rate) };
  return { critic: { model: critic, ...optimizer } };
};

/** The loop over the steps; returns whether it came to its end. */
const loop = async (
  { options, plans, progress }: Assembled,
  interrupt: Interrupt,
): Promise<boolean> => {
  const planned = new Set(plans.checkpoints);
  let saved = 0;
  const due = (step: number): boolean => {
    if (!interrupt.asked && !planned.has(step)) return false;
    saved = step;
    return true;
  };
  for await (const step of train({ ...options, checkpoints: due })) {
    progress.step(step);
    // A checkpoint of this very step was written: nothing is lost by stopping here.
    if (interrupt.asked && saved === step.index) return false;
  }
  return true;
};

const asReference = ({
  reference,
  isStart,
}: RunReference): Pick<TrainOptions, 'reference' | 'startsFromReference'> => ({
  ...(reference ? { reference } : {}),
  ...(isStart ? {} : { startsFromReference: false }),
});

const assemble = async (
  prepared: Prepared,
  {
    models,
    folder,
    source,
    judge,
    reference,
  }: {
    readonly models: RunModels;
    readonly folder: RunFolder;
    readonly source: Source;
    readonly judge: Judge<'proxy'> | null;
    readonly reference: RunReference;
  },
): Promise<Assembled> => {
  const { config, maxLength } = prepared;
  // A hybrid source has no size of its own: its pairs are the data.
  const plans = plansOf(source.size ?? prepared.loaded?.items.length, config);
  const progress = new Progress({
    steps: plans.steps,
    fromStep: folder.fromStep,
    loggingSteps: plans.logging,
  });
  const options: TrainOptions = {
    policy: models.policy,
    source,
    objective: config.objective,
    ...stepOptions(config),
    steps: plans.steps,
    maxLength,
    ...asReference(reference),
    ...criticOf(prepared, models),
    ...evaluationOf(prepared, judge, plans, progress),
    ...(config.settings.replay === null ? {} : { startsOnPolicy: false }),
    recorder: folder,
    resume: openingOptions(config).resume !== false,
    manifest: await manifestOf(prepared),
  };
  return { options, plans, progress };
};

const farewell = (folder: RunFolder, completed: boolean, last: string): void => {
  if (!completed) {
    note('Stopped. Go on by the same command with --resume-from-checkpoint auto.');
    process.exitCode = 130; // as shells report an end by SIGINT
  }
  print(`policy: ${last}`);
  print(`metrics: ${join(folder.path, 'metrics.jsonl')}`);
};

/** Trains. Throws AlignlabError. */
export const runTraining = async (config: ResolvedConfig): Promise<void> => {
  const output = await checkOutput(config);
  checkJudge(config);
  const prepared = await prepare(config);
  const judge = await openTrainingJudge(config, prepared.encoder);
  await using models = await loadModels(prepared.folder, config.settings, config.objective);
  await using folder = await openFolder(output, prepared);
  const reference = await referenceOf(prepared, models, folder.path);
  const { examples, encoder, prompts } = prepared;
  const { policy } = models;
  const parts = { config, encoder, policy, judge, examples, prompts: prompts?.items ?? null };
  const drawn = await makeSource({ ...parts, reference: asModel(reference.reference) });
  const samples = config.command.source !== 'dataset' && config.settings.replay === null;
  const log = samples ? await ExperienceLog.open(folder.completionsPath) : null;
  const source = log ? recording(drawn, log) : drawn;
  const interrupt = new Interrupt();
  try {
    const assembled = await assemble(prepared, { models, folder, source, judge, reference });
    note(header(prepared, models, { plans: assembled.plans, judge, fromStep: folder.fromStep }));
    interrupt.listen(() => {
      assembled.progress.line('Stopping after this step; once more ends at once.');
    });
    const completed = await loop(assembled, interrupt);
    assembled.progress.stop();
    farewell(folder, completed, await modelFolder(folder.path));
  } finally {
    interrupt.dispose();
    await source.dispose?.();
    await log?.close();
    await judge?.dispose?.();
  }
};
