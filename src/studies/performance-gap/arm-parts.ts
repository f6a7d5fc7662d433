// What an arm trains with: the one place that decides which source and which objective run it.
import { join } from 'node:path';
import { derivedSeed } from '../../data/random.js';
import type { LanguageModel } from '../../engine/model.js';
import { AlignlabError } from '../../errors.js';
import { bo2 } from '../../objectives/bo2.js';
import { dpo } from '../../objectives/dpo.js';
import { hinge } from '../../objectives/hinge.js';
import { ipo } from '../../objectives/ipo.js';
import type { Objective } from '../../objectives/objective.js';
import { withTrust } from '../../objectives/trust.js';
import { datasetPairs } from '../../sources/dataset.js';
import { ExperienceLog, recording } from '../../sources/experience-log.js';
import { onPolicyPairs } from '../../sources/on-policy-pairs.js';
import { replay } from '../../sources/replay.js';
import type { Source } from '../../sources/source.js';
import type { Example } from '../../text/example.js';
import type { TrainOptions } from '../../training/options.js';
import { trusted } from '../../trust/trusted.js';
import type { Artefact } from '../study.js';
import type { Arm, ArmObjective, ArmSource } from './arms.js';
import { trainingPrompts } from './golden-policy.js';
import { newModel, promptsOf } from './materials.js';
import type { Bench } from './measure.js';
import type { GoldenPairs } from './protocol.js';
import { readRegenerated } from './regenerated.js';
import { type RlObjective, rlParts } from './rl-arms.js';

const logName = 'completions.jsonl';

/** The log of an online arm's stream. */
export const logPath = ({ folder }: { readonly folder: string }): string => join(folder, logName);

/** What the parts are made of. */
export interface ArmPartsInput {
  readonly policy: LanguageModel;
  /** The SFT policy where the arm begins. */
  readonly start: Artefact;
  readonly pairs: GoldenPairs;
  /** The judges, the reference (its `start`), the materials. */
  readonly bench: Bench;
  /** Of the stage: what is written there is kept. */
  readonly folder: string;
  /** The online arm whose stream is replayed. */
  readonly stream: Artefact | null;
  /** Instead of D_golden. */
  readonly data: Artefact | null;
}

export interface ArmParts {
  readonly source: Source;
  readonly objective: Objective;
  /** Whatever else train() needs, such as a critic. */
  readonly options?: Pick<TrainOptions, 'critic' | 'rollouts'>;
  close(): Promise<void>;
}

const nothing = (): Promise<void> => Promise.resolve();

/** Of an arm's own random draws. */
export const pairsSeed = ({ seed }: Arm): bigint => derivedSeed(seed, 'pairs');

/** The pairs of an offline arm. Throws OPTION_INVALID where there are fewer than it asks for. */
export const offlineExamples = async (
  source: Extract<ArmSource, { readonly kind: 'offline' }>,
  { pairs, data }: Pick<ArmPartsInput, 'pairs' | 'data'>,
): Promise<readonly Example[]> => {
  const all = data ? await readRegenerated(data) : pairs.examples;
  const { pairs: wanted = all.length } = source;
  if (wanted <= all.length) return all.slice(0, wanted);
  throw new AlignlabError(
    'OPTION_INVALID',
    `The data have ${all.length} pairs, and an arm asks for ${wanted}. Ask for at most so many.`,
  );
};

const offlineSource = async (
  arm: Arm,
  source: Extract<ArmSource, { readonly kind: 'offline' }>,
  input: ArmPartsInput,
): Promise<Source> =>
  datasetPairs({
    examples: await offlineExamples(source, input),
    name: input.data ? input.data.name : 'D_golden',
    order: 'shuffled',
    seed: pairsSeed(arm),
    lastBatch: 'across',
  });

const replaySource = (
  arm: Arm,
  { order }: Extract<ArmSource, { readonly kind: 'replay' }>,
  { stream }: ArmPartsInput,
): Promise<Source> =>
  replay({
    log: logPath(stream!),
    ...(typeof order === 'object' ? { order: 'windows', window: order.window } : { order }),
    seed: pairsSeed(arm),
    epochs: 2, // a stream without the ties that were dropped is a little shorter than the run
  });

/** Keeps what the source yields as the arm's stream, for replays. */
export const recorded = async (
  source: Source,
  folder: string,
): Promise<Pick<ArmParts, 'source' | 'close'>> => {
  const log = await ExperienceLog.open(logPath({ folder }));
  return { source: recording(source, log), close: () => log.close() };
};

/** With discriminators of the proxy's size, and its optimiser. */
const withDiscriminators = async (
  source: Source,
  { seed }: Arm,
  trust: 'weights' | 'gaps',
  { pairs, bench: { materials }, folder }: ArmPartsInput,
): Promise<Pick<ArmParts, 'source' | 'close'>> => {
  const { parameters, learningRate } = materials.recipe.proxy;
  const own = derivedSeed(seed, 'discriminators');
  const model = await newModel(materials, 'preference', parameters, own);
  const log = await recorded(
    trusted(source, {
      golden: pairs.pairs,
      model,
      encoder: materials.comparisons,
      optimizer: { learningRate, weightDecay: 0.01 },
      weigh: trust === 'weights',
      seed: own,
    }),
    folder,
  );
  const close = async (): Promise<void> => {
    await log.close();
    await model.dispose();
  };
  return { source: log.source, close };
};

const onlineSource = (
  arm: Arm,
  { syncEvery, trust }: Extract<ArmSource, { readonly kind: 'online' }>,
  input: ArmPartsInput,
): Promise<Pick<ArmParts, 'source' | 'close'>> => {
  const { policy, pairs, bench, folder } = input;
  const { encoder, sampling } = bench.materials;
  const source = onPolicyPairs({
    policy,
    prompts: promptsOf(trainingPrompts(pairs), encoder),
    order: 'shuffled',
    judge: bench.proxy,
    decode: (response, prompt) => encoder.decode(response, prompt),
    sampling,
    seed: pairsSeed(arm),
    ...(syncEvery === undefined ? {} : { syncEvery }),
  });
  return trust ? withDiscriminators(source, arm, trust, input) : recorded(source, folder);
};

/** Of an arm on pairs. */
const pairSource = async (
  arm: Arm,
  input: ArmPartsInput,
): Promise<Pick<ArmParts, 'source' | 'close'>> => {
  const { source } = arm;
  switch (source.kind) {
    case 'online':
      return onlineSource(arm, source, input);
    case 'offline':
      return { source: await offlineSource(arm, source, input), close: nothing };
    case 'replay':
      return { source: await replaySource(arm, source, input), close: nothing };
  }
};

const rlArm = async (arm: Arm, objective: RlObjective, input: ArmPartsInput): Promise<ArmParts> => {
  const { source, seed } = arm;
  const { policy, start, pairs, bench } = input;
  const { materials, proxy } = bench;
  const offline = await offlineSource(
    arm,
    source.kind === 'offline' ? source : { kind: 'offline' },
    input,
  );
  return rlParts(
    { source, seed, objective },
    {
      policy,
      start,
      prompts: promptsOf(trainingPrompts(pairs), materials.encoder),
      materials,
      proxy,
      offline: () => offline,
    },
  );
};

// Of SLiC the member of the paper's family (appendix B); slic.ts is SLiC-HF, without a reference.
const losses = { ipo, dpo, slic: hinge } as const;

const contrastive = ({
  name,
  beta,
  trust,
}: Extract<ArmObjective, { readonly name: keyof typeof losses }>): Objective => {
  const plain = losses[name].make({ beta });
  return trust === undefined ? plain : withTrust(plain, { lambda: trust });
};

/** `close` when the run is over. */
export const armParts = async (arm: Arm, input: ArmPartsInput): Promise<ArmParts> => {
  const { objective } = arm;
  switch (objective.name) {
    case 'ipo':
    case 'dpo':
    case 'slic':
      return { ...(await pairSource(arm, input)), objective: contrastive(objective) };
    case 'bo2':
      return { ...(await pairSource(arm, input)), objective: bo2.make() };
    case 'rloo':
    case 'ppo':
    case 'hypo':
      return rlArm(arm, objective, input);
  }
};
