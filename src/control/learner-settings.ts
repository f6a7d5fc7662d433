// Checks a learner's options once, and fills them into the engine's form.
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../options.js';
import type { NativeLearnerSettings } from '../engine/native.js';
import {
  type Algorithm,
  type CqlOptions,
  type DiscriminatorOptions,
  type H2oOptions,
  type LearnerOptions,
  type RewardUnits,
  algorithms,
  nextSpreads,
  usesDiscriminators,
} from './learner-options.js';

const names: OptionNames<LearnerOptions> = {
  algorithm: true,
  obsDim: true,
  actDim: true,
  device: true,
  seeds: true,
  hidden: true,
  batch: true,
  learningRate: true,
  policyLearningRate: true,
  gamma: true,
  observationScale: true,
  reward: true,
  tau: true,
  realRatio: true,
  backupEntropy: true,
  targetEntropy: true,
  alpha: true,
  capacity: true,
  discriminator: true,
  darcClip: true,
  h2o: true,
  cql: true,
};
const discriminatorNames: OptionNames<DiscriminatorOptions> = {
  hidden: true,
  batch: true,
  learningRate: true,
  noise: true,
  logitScale: true,
  normalize: true,
};
const h2oNames: OptionNames<H2oOptions> = {
  importanceWeights: true,
  adaptiveGap: true,
  penalty: true,
  linear: true,
  beta: true,
  nextSamples: true,
  nextStd: true,
  ratioRange: true,
  gapLimit: true,
  differenceLimit: true,
};
const rewardNames: OptionNames<RewardUnits> = { shift: true, scale: true };
const cqlNames: OptionNames<CqlOptions> = { weight: true, actions: true, temperature: true };

const refuse = (sentence: string): never => {
  throw new AlignlabError('OPTION_INVALID', sentence);
};

const inRange = (
  name: string,
  value: number,
  holds: (value: number) => boolean,
  allowed: string,
): number =>
  Number.isFinite(value) && holds(value)
    ? value
    : refuse(`${name} must be ${allowed}, got ${String(value)}.`);
const positive = (name: string, value: number): number =>
  inRange(name, value, (x) => x > 0, 'a number above 0');
const notNegative = (name: string, value: number): number =>
  inRange(name, value, (x) => x >= 0, 'a number from 0 up');
const whole = (name: string, value: number, least = 1): number => {
  requireWhole(name, value, least);
  return value;
};
const flag = (name: string, value: boolean): boolean =>
  typeof value === 'boolean' ? value : refuse(`${name} must be true or false.`);

const widths = (name: string, hidden: readonly number[]): readonly number[] => {
  if (!Array.isArray(hidden) || hidden.length < 1 || hidden.length > 8) {
    refuse(`${name} must be 1 to 8 layer widths, such as [256, 256].`);
  }
  for (const width of hidden) requireWhole(`each width of ${name}`, width);
  return [...hidden];
};

const usesDarc = (algorithm: Algorithm): boolean => algorithm === 'darc' || algorithm === 'darc+';

/** Options that the algorithm would pass over in silence. */
const refuseIdle = (options: LearnerOptions): void => {
  const { algorithm } = options;
  const acts: Partial<Record<keyof LearnerOptions, boolean>> = {
    discriminator: usesDiscriminators(algorithm),
    darcClip: usesDarc(algorithm),
    h2o: algorithm === 'h2o',
    cql: algorithm === 'cql',
    realRatio: algorithm === 'mix' || algorithm === 'darc+' || algorithm === 'h2o',
    capacity: algorithm !== 'cql',
    targetEntropy: options.alpha === undefined || options.alpha === 'auto',
  };
  for (const [name, does] of Object.entries(acts) as [keyof LearnerOptions, boolean][]) {
    if (does || options[name] === undefined) continue;
    refuse(
      name === 'targetEntropy'
        ? 'targetEntropy has no effect with a fixed alpha. Leave one of the two out.'
        : `The option ${name} has no effect on the algorithm ${algorithm}. Leave it out.`,
    );
  }
  const { h2o = {} } = options;
  if (h2o.penalty !== false) return;
  for (const name of ['beta', 'linear', 'adaptiveGap', 'differenceLimit'] as const) {
    if (h2o[name] !== undefined) {
      refuse(`h2o.${name} has no effect when h2o.penalty is false. Leave it out.`);
    }
  }
};

const realRows = ({ algorithm, realRatio = 0.5 }: LearnerOptions, batch: number): number => {
  if (algorithm === 'cql') return batch;
  if (algorithm === 'sac' || algorithm === 'darc') return 0;
  const rows = Math.round(batch * notNegative('realRatio', realRatio));
  if (rows >= 1 && rows < batch) return rows;
  return refuse(
    `realRatio ${realRatio} of a batch of ${batch} gives ${rows} real rows; ` +
      `${algorithm} needs at least one of each kind.`,
  );
};

const seedsOf = (seeds: readonly (number | bigint)[]): BigUint64Array => {
  if (!Array.isArray(seeds) || seeds.length === 0) refuse('seeds must name at least one seed.');
  const all = seeds.map((seed: number | bigint) => {
    if (typeof seed === 'bigint' || Number.isSafeInteger(seed)) {
      return BigInt.asUintN(64, BigInt(seed));
    }
    return refuse(`A seed must be a whole number, got ${String(seed)}.`);
  });
  const twice = all.find((seed, i) => all.indexOf(seed) < i);
  if (twice !== undefined) {
    refuse(`The seed ${twice} is given twice; its members would be the same run.`);
  }
  return BigUint64Array.from(all);
};

const discriminators = (
  { discriminator = {} }: LearnerOptions,
  common: { hidden: readonly number[]; batch: number; learningRate: number },
): NativeLearnerSettings['discriminators'] => {
  refuseUnknown('discriminator', discriminator, discriminatorNames);
  const { noise = 0.1, logitScale = 2, normalize = false } = discriminator;
  return {
    hidden: widths('discriminator.hidden', discriminator.hidden ?? common.hidden),
    batch: whole('discriminator.batch', discriminator.batch ?? common.batch),
    learningRate: notNegative(
      'discriminator.learningRate',
      discriminator.learningRate ?? common.learningRate,
    ),
    noise: notNegative('discriminator.noise', noise),
    logitScale: positive('discriminator.logitScale', logitScale),
    normalize: flag('discriminator.normalize', normalize),
  };
};

const h2oSettings = ({ algorithm, h2o = {} }: LearnerOptions): NativeLearnerSettings['h2o'] => {
  refuseUnknown('h2o', h2o, h2oNames);
  const { nextStd = 'paper-code', ratioRange = [1e-5, 1] } = h2o;
  const nextSpread = nextSpreads.indexOf(nextStd);
  if (nextSpread < 0) refuse(`h2o.nextStd must be ${nextSpreads.join(', ')}, got ${nextStd}.`);
  const [ratioLow, ratioHigh] = ratioRange;
  if (!(ratioLow > 0 && ratioHigh >= ratioLow && Number.isFinite(ratioHigh))) {
    refuse('h2o.ratioRange must be two numbers above 0, the lower one first.');
  }
  return {
    importanceWeights: flag('h2o.importanceWeights', h2o.importanceWeights ?? true),
    adaptiveGap: flag('h2o.adaptiveGap', h2o.adaptiveGap ?? true),
    penalty: flag('h2o.penalty', h2o.penalty ?? true),
    linear: flag('h2o.linear', h2o.linear ?? false),
    beta: notNegative('h2o.beta', h2o.beta ?? 0.01),
    nextSamples: usesDiscriminators(algorithm)
      ? whole('h2o.nextSamples', h2o.nextSamples ?? 10)
      : 0,
    nextSpread,
    ratioLow,
    ratioHigh,
    gapHigh: positive('h2o.gapLimit', h2o.gapLimit ?? 10),
    differenceLimit: positive('h2o.differenceLimit', h2o.differenceLimit ?? 1000),
  };
};

const cqlSettings = ({ algorithm, cql = {} }: LearnerOptions): NativeLearnerSettings['cql'] => {
  refuseUnknown('cql', cql, cqlNames);
  const { weight = 5, actions = 10, temperature = 1 } = cql;
  return {
    weight: notNegative('cql.weight', weight),
    temperature: positive('cql.temperature', temperature),
    actions: algorithm === 'cql' ? whole('cql.actions', actions) : 0,
  };
};

/** Applied on this side of the engine: see learner-units.ts. */
const checkUnits = ({ observationScale, reward = {}, obsDim }: LearnerOptions): void => {
  refuseUnknown('reward', reward, rewardNames);
  inRange('reward.shift', reward.shift ?? 0, () => true, 'finite');
  positive('reward.scale', reward.scale ?? 1);
  if (observationScale === undefined) return;
  if (!Array.isArray(observationScale) || observationScale.length !== obsDim) {
    refuse(`observationScale must be ${obsDim} numbers, one for each of an observation.`);
  }
  for (const times of observationScale as readonly number[]) {
    inRange('each number of observationScale', times, (x) => x !== 0, 'a finite number, not 0');
  }
};

/**
 * The engine's form of the options.
 * @param realCount transitions of real data
 * @throws OPTION_INVALID
 */
export const learnerSettings = (
  options: LearnerOptions,
  realCount: number,
): NativeLearnerSettings => {
  refuseUnknown('A learner', options, names);
  const { algorithm, learningRate = 3e-4, alpha = 'auto' } = options;
  if (!algorithms.includes(algorithm)) {
    refuse(`algorithm must be one of ${algorithms.join(', ')}, got ${algorithm}.`);
  }
  refuseIdle(options);
  checkUnits(options);
  const hidden = widths('hidden', options.hidden ?? [256, 256]);
  const batch = whole('batch', options.batch ?? 256);
  const actDim = whole('actDim', options.actDim);
  notNegative('learningRate', learningRate);
  return {
    algorithm: algorithms.indexOf(algorithm),
    obsDim: whole('obsDim', options.obsDim),
    actDim,
    hidden,
    batch,
    realRows: realRows(options, batch),
    policyLearningRate: notNegative(
      'policyLearningRate',
      options.policyLearningRate ?? learningRate,
    ),
    criticLearningRate: learningRate,
    alphaLearningRate: learningRate,
    gamma: inRange('gamma', options.gamma ?? 0.99, (x) => x >= 0 && x <= 1, 'from 0 to 1'),
    tau: inRange('tau', options.tau ?? 0.005, (x) => x > 0 && x <= 1, 'above 0 and at most 1'),
    backupEntropy: flag(
      'backupEntropy',
      options.backupEntropy ?? (algorithm !== 'h2o' && algorithm !== 'cql'),
    ),
    trainAlpha: alpha === 'auto',
    targetEntropy: inRange('targetEntropy', options.targetEntropy ?? -actDim, () => true, 'finite'),
    initialAlpha: alpha === 'auto' ? 1 : positive('alpha', alpha),
    darcClip: positive('darcClip', options.darcClip ?? 10),
    discriminators: discriminators(options, { hidden, batch, learningRate }),
    h2o: h2oSettings(options),
    cql: cqlSettings(options),
    seeds: seedsOf(options.seeds ?? [0]),
    simCapacity:
      algorithm === 'cql'
        ? 0
        : whole('capacity', options.capacity ?? (realCount > 0 ? 10 * realCount : 1_000_000)),
  };
};
