// Arms: runs with the same optimiser, batch and start. Those that are compared differ in the source
// of their pairs, or in the objective, and in nothing else.
import type { JsonObject } from '../../checkpoint/json.js';
import { AlignlabError } from '../../errors.js';
import type { Artefact } from '../study.js';
import type { Point, Sample, SelfAccuracy } from './measure.js';
import type { Recipe } from './recipe.js';

/** Made of policies of the baseline online arm; early: at a fifth of its steps (800 of 4k). */
export type DataName = 'end-vs-end' | 'sft-vs-early' | 'early-vs-end';

export type ArmSource =
  /** Samples of the policy (of its snapshot of every n-th step), labelled by the proxy. */
  | {
      readonly kind: 'online';
      readonly syncEvery?: number;
      /** Discriminators, on D_golden, say how far each label is to be trusted. */
      readonly trust?: 'weights' | 'gaps';
    }
  /** Default: all of D_golden. */
  | { readonly kind: 'offline'; readonly data?: DataName; readonly pairs?: number }
  /** The stream of an online arm; a window counts batches. */
  | {
      readonly kind: 'replay';
      readonly order: 'recorded' | 'shuffled' | { readonly window: number };
      /** Whose stream it is, where not of the online arm that is equal otherwise. */
      readonly stream?: Pick<Arm, 'objective' | 'learningRate'>;
    };

export type ArmObjective =
  | {
      readonly name: 'ipo' | 'dpo' | 'slic';
      readonly beta: number;
      /** Weight of the penalty on responses whose labels are not to be trusted. */
      readonly trust?: number;
    }
  /** Neither a reference nor a beta. */
  | { readonly name: 'bo2' }
  /** Online only; rewards are made of the pairwise proxy. */
  | { readonly name: 'rloo' | 'ppo'; readonly beta: number }
  /** Offline pairs, and online samples without labels. */
  | {
      readonly name: 'hypo';
      readonly beta: number;
      readonly lambda: number;
      readonly base: 'ipo' | 'dpo';
    };

export interface Arm {
  readonly source: ArmSource;
  readonly objective: ArmObjective;
  readonly learningRate: number;
  readonly seed: number;
  /** Default: of the recipe. */
  readonly steps?: number;
  /** Parameters; default: of the recipe. Another size has its own SFT policy, KL counts from that. */
  readonly policy?: number;
  /** Parameters of the proxy; default: of the recipe. */
  readonly proxy?: number;
}

export interface ArmResult {
  readonly arm: Arm;
  /** The arm's manifest: what train() says about the run. */
  readonly manifest: JsonObject;
  readonly points: readonly Point[];
  /** Of each step. */
  readonly losses: readonly number[];
  /** Of an online arm whose policy came to write but one response: where, and what was said. */
  readonly collapsed: { readonly step: number; readonly reason: string } | null;
  readonly self: SelfAccuracy | null;
  readonly samples: readonly Sample[];
  readonly [key: string]: unknown;
}

export interface ArmRun extends Artefact<ArmResult> {
  readonly arm: Arm;
}

const sourceOf = (source: ArmSource): ArmSource => {
  const { kind } = source;
  switch (kind) {
    case 'online': {
      const { syncEvery = 1, trust } = source;
      return { kind, ...(syncEvery === 1 ? {} : { syncEvery }), ...(trust ? { trust } : {}) };
    }
    case 'offline': {
      const { data, pairs } = source;
      return { kind, ...(data ? { data } : {}), ...(pairs === undefined ? {} : { pairs }) };
    }
    case 'replay': {
      const { order, stream } = source;
      return { kind, order, ...(stream ? { stream } : {}) };
    }
  }
};

/** Without what is the default anyway, so that equal arms have equal settings. */
export const canonical = (arm: Arm, recipe: Recipe): Arm => {
  const { objective, learningRate, seed, steps, policy, proxy } = arm;
  let source = sourceOf(arm.source);
  if (source.kind === 'replay' && source.stream) {
    const { stream, ...rest } = source;
    const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
    const own = same(stream.objective, objective) && stream.learningRate === learningRate;
    if (own) source = rest;
  }
  const except = (name: string, value: number | undefined, usual: number) =>
    value === undefined || value === usual ? {} : { [name]: value };
  return {
    source,
    objective,
    learningRate,
    seed,
    ...except('steps', steps, recipe.arm.steps),
    ...except('policy', policy, recipe.sft.parameters),
    ...except('proxy', proxy, recipe.proxy.parameters),
  };
};

/** The online arm whose stream a replay takes. */
export const streamOf = (arm: Arm): Arm => {
  const { source } = arm;
  if (source.kind !== 'replay') {
    throw new AlignlabError('INTERNAL', `An arm of the kind ${source.kind} has no stream.`);
  }
  return { ...arm, ...source.stream, source: { kind: 'online' } };
};

export const isTandem = ({ source }: Arm): boolean =>
  source.kind === 'replay' && source.order === 'recorded';

const objectiveNames = {
  ipo: 'IPO',
  dpo: 'DPO',
  slic: 'SLiC',
  bo2: 'best-of-2',
  rloo: 'RLOO',
  ppo: 'PPO',
  hypo: 'HyPO',
} as const;

export const objectiveName = (objective: ArmObjective): string => {
  const beta = 'beta' in objective ? `, beta ${objective.beta}` : '';
  const trust = 'trust' in objective ? `, penalty ${objective.trust}` : '';
  const more =
    objective.name === 'hypo' ? ` on ${objective.base}, lambda ${objective.lambda}` : trust;
  return `${objectiveNames[objective.name]}${beta}${more}`;
};

/** online, offline, tandem, shuffled, windows of 4 batches. */
export const methodName = (source: ArmSource): string => {
  if (source.kind !== 'replay') return source.kind;
  if (typeof source.order === 'object') return `windows of ${source.order.window} batches`;
  return source.order === 'recorded' ? 'tandem' : 'shuffled';
};

const sourceDetails = (source: ArmSource): string[] => {
  if (source.kind === 'online') {
    const { syncEvery, trust } = source;
    return [
      ...(syncEvery === undefined ? [] : [`renewed every ${syncEvery} steps`]),
      ...(trust ? [`with ${trust} of trust`] : []),
    ];
  }
  if (source.kind === 'replay') {
    const { stream } = source;
    return stream
      ? [`stream of ${objectiveName(stream.objective)}, lr ${stream.learningRate}`]
      : [];
  }
  const { data, pairs } = source;
  return [...(data ? [`on ${data}`] : []), ...(pairs === undefined ? [] : [`${pairs} pairs`])];
};

export const nameOf = ({ source, objective, learningRate, seed, ...rest }: Arm): string => {
  const { steps, policy, proxy } = rest;
  return [
    `${methodName(source)} ${objectiveName(objective)}`,
    `lr ${learningRate}`,
    `seed ${seed}`,
    ...sourceDetails(source),
    ...(steps === undefined ? [] : [`${steps} steps`]),
    ...(policy === undefined ? [] : [`policy of ${policy}`]),
    ...(proxy === undefined ? [] : [`proxy of ${proxy}`]),
  ].join(', ');
};

/** Where a run of so many steps is evaluated: as the recipe says, and past that eight times more. */
export const evaluationSteps = ({ arm, evaluation }: Recipe, steps: number): number[] => {
  const longer = steps - arm.steps;
  const more = Array.from({ length: longer > 0 ? 8 : 0 }, (_, i) =>
    Math.round(arm.steps + ((i + 1) * longer) / 8),
  );
  const all = [...evaluation.steps.filter((step) => step <= steps), ...more];
  return [...new Set(longer < 0 ? [...all, steps] : all)];
};

/** At which the policy of an online arm is kept as the early one. */
export const earlyStep = (steps: number): number => Math.max(1, Math.round(steps / 5));
