// The models of a run, from local folders.
import { readCheckpoint } from '../../checkpoint/checkpoint.js';
import { setThreads } from '../../engine/device.js';
import type { LoadOptions } from '../../engine/load.js';
import { LanguageModel } from '../../engine/model.js';
import type { Objective } from '../../objectives/objective.js';
import type { Settings } from '../config/keys.js';
import { dtypeOf, modelFolder } from '../models.js';

export const loadOptions = ({ dtype, device, exact }: Settings): LoadOptions => {
  const own = dtypeOf(dtype);
  return { device, exact, ...(own ? { dtype: own } : {}) };
};

/** A new scalar head, where the checkpoint has none yet. */
const headFor = async (folder: string): Promise<{ scalarHead?: number }> => {
  const { shape } = await readCheckpoint(folder);
  return shape.scalarOutputs > 0 ? {} : { scalarHead: 1 };
};

export interface RunModels extends AsyncDisposable {
  readonly folder: string;
  readonly policy: LanguageModel;
  /** Where ref_model names one; else the loop copies the policy. */
  readonly reference: LanguageModel | null;
  readonly critic: LanguageModel | null;
}

const disposing = (models: readonly (LanguageModel | null)[]) => async (): Promise<void> => {
  for (const model of models) await model?.dispose();
};

const loadCritic = async (folder: string, settings: Settings): Promise<LanguageModel> => {
  const from = settings.value_model === null ? folder : await modelFolder(settings.value_model);
  return LanguageModel.load(from, { ...loadOptions(settings), ...(await headFor(from)) });
};

/** Throws CHECKPOINT_NOT_FOUND and what LanguageModel.load throws. */
export const loadModels = async (
  folder: string,
  settings: Settings,
  { needs }: Objective,
): Promise<RunModels> => {
  if (settings.threads !== null) await setThreads(settings.threads);
  const options = loadOptions(settings);
  const loaded: (LanguageModel | null)[] = [];
  const keep = async (model: Promise<LanguageModel> | null): Promise<LanguageModel | null> => {
    const own = await model;
    loaded.push(own);
    return own;
  };
  try {
    const head = needs.scores ? await headFor(folder) : {};
    const policy = await LanguageModel.load(folder, { ...options, ...head });
    loaded.push(policy);
    const { ref_model: ref } = settings;
    const reference = await keep(
      ref === null
        ? null
        : LanguageModel.load(await modelFolder(ref), { ...options, trainable: false }),
    );
    const critic = await keep(needs.values ? loadCritic(folder, settings) : null);
    return { folder, policy, reference, critic, [Symbol.asyncDispose]: disposing(loaded) };
  } catch (error) {
    await disposing(loaded)();
    throw error;
  }
};
