// Where numbers of a run go besides metrics.jsonl. A client of any service becomes a tracker by
// having these methods.
import { AlignlabError } from '../../errors.js';
import { didYouMean } from '../../suggest.js';
import { openTensorBoard } from './tensorboard.js';

export interface Tracker {
  /** Scalars at a step, under names such as 'train/loss' and 'eval/rewards/margins'. */
  log(step: number, scalars: Readonly<Record<string, number>>): Promise<void>;
  /** A text that belongs to the run, such as its configuration. */
  logText?(name: string, text: string): Promise<void>;
  close(): Promise<void>;
}

export interface TrackerContext {
  /** The run folder. */
  readonly folder: string;
  /** Steps made before: what an interrupted run logged after this one is void. */
  readonly fromStep: number;
}

const openers: Readonly<Record<string, (context: TrackerContext) => Promise<Tracker>>> = {
  tensorboard: openTensorBoard,
};

// Values of transformers' report_to that need a client which this package does not depend on.
const elsewhere: Readonly<Record<string, string>> = {
  wandb: 'Run "wandb sync OUTPUT/tensorboard" on the event files of "tensorboard"',
  mlflow: 'Give a Tracker object that calls your MLflow client',
  trackio: 'Give a Tracker object that calls it',
  swanlab: 'Give a Tracker object that calls it',
  comet_ml: 'Give a Tracker object that calls it',
  clearml: 'Give a Tracker object that calls it',
  neptune: 'Give a Tracker object that calls it',
  dvclive: 'Give a Tracker object that calls it',
  aim: 'Give a Tracker object that calls it',
};

const unknown = (name: string): AlignlabError => {
  const wayOut = Object.hasOwn(elsewhere, name) ? elsewhere[name] : undefined;
  const known = [...Object.keys(openers), 'all', 'none'];
  return new AlignlabError(
    'OPTION_INVALID',
    wayOut === undefined
      ? `report_to "${name}" is not known.${didYouMean(name, known)} Use ${known.join(', ')}.`
      : `report_to "${name}" is not built in, since this package depends on no client of it. ` +
          `${wayOut}; metrics.jsonl has every number, too.`,
  );
};

/** Checks names as transformers' report_to has them: 'all', 'none', or a list of trackers. */
export const checkReportTo = (names: readonly string[]): readonly string[] => {
  if (names.includes('none') && names.length > 1) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `report_to is ${names.join(', ')}: "none" goes with no other. Leave it out.`,
    );
  }
  const meant = names.flatMap((name) => {
    if (name === 'none') return [];
    if (name === 'all') return Object.keys(openers);
    if (!Object.hasOwn(openers, name)) throw unknown(name);
    return name;
  });
  return [...new Set(meant)];
};

export const openTrackers = async (
  names: readonly string[],
  context: TrackerContext,
): Promise<Tracker[]> => {
  const trackers: Tracker[] = [];
  for (const name of checkReportTo(names)) {
    const open = openers[name];
    if (open) trackers.push(await open(context));
  }
  return trackers;
};
