// The arms: the same objective, optimiser, batch and start; they differ in the source of pairs only.
import { join } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import { derivedSeed } from '../../data/random.js';
import type { LanguageModel } from '../../engine/model.js';
import type { JudgedResponse } from '../../judges/judge.js';
import { bo2 } from '../../objectives/bo2.js';
import { ipo } from '../../objectives/ipo.js';
import { datasetPairs } from '../../sources/dataset.js';
import { ExperienceLog, recording } from '../../sources/experience-log.js';
import { onPolicyPairs } from '../../sources/on-policy-pairs.js';
import { replay } from '../../sources/replay.js';
import type { Source } from '../../sources/source.js';
import { adamW } from '../../training/optimizer.js';
import type { Recorder } from '../../training/run.js';
import { train } from '../../training/train.js';
import type { Artefact, StageContext, Study } from '../study.js';
import { type Materials, loadJudge, loadModel, promptsOf, saveModel } from './materials.js';
import {
  type Bench,
  type Point,
  type Sample,
  type SelfAccuracy,
  measure,
  measureSelf,
} from './measure.js';
import { readRegenerated } from './regenerated.js';
import { evaluationPrompts, trainingPrompts } from './golden-policy.js';
import { type GoldenPairs, readGoldenPairs } from './protocol.js';

/**
 * online: samples of the policy, labelled by the proxy. offline: D_golden. tandem: the stream of the
 * online arm in its order. shuffled: the same stream, shuffled uniformly.
 */
export type Method = 'online' | 'offline' | 'tandem' | 'shuffled';

export interface Arm {
  readonly method: Method;
  /** Default IPO. Best-of-2 has neither a reference nor a beta. */
  readonly objective?: 'bo2';
  /** Of an offline arm, instead of D_golden: see regenerated.ts. */
  readonly data?: 'end-vs-end';
  readonly beta: number;
  readonly learningRate: number;
  readonly seed: number;
}

export interface ArmResult {
  readonly arm: Arm;
  /** The arm's manifest: what train() says about the run. */
  readonly manifest: JsonObject;
  readonly points: readonly Point[];
  /** Of each step. */
  readonly losses: readonly number[];
  readonly self: SelfAccuracy | null;
  readonly samples: readonly Sample[];
  readonly [key: string]: unknown;
}

export interface Ground {
  readonly materials: Materials;
  readonly golden: Artefact;
  readonly dataset: Artefact;
  readonly start: Artefact;
  readonly goldenPolicy: Artefact<{
    readonly responses: readonly { readonly text: string; readonly tokens: readonly number[] }[];
  }>;
}

const logName = 'completions.jsonl';

export const logPath = ({ folder }: Artefact): string => join(folder, logName);

export const nameOf = ({ method, objective, data, beta, learningRate, seed }: Arm): string => {
  const what = objective === 'bo2' ? 'best-of-2' : `IPO, beta ${beta}`;
  return `${method} ${what}, lr ${learningRate}, seed ${seed}${data ? `, on ${data}` : ''}`;
};

/** What an arm needs besides the common ground. */
export interface ArmInputs {
  readonly proxy: Artefact;
  /** The online arm whose stream is replayed, or whose policy has written the data. */
  readonly online: Artefact | null;
  readonly data?: Artefact;
}

/** Opens the judges and models of measurements; dispose of them by the second value. */
export const openBench = async (
  { materials, golden, dataset, start, goldenPolicy }: Ground,
  proxy: Artefact,
): Promise<readonly [Bench, GoldenPairs, () => Promise<void>]> => {
  const { recipe, encoder } = materials;
  const pairs = await readGoldenPairs(dataset, materials);
  const judges = [
    await loadJudge('golden', golden, materials),
    await loadJudge('proxy', proxy, materials),
  ] as const;
  const reference = await loadModel(start);
  const bench: Bench = {
    materials,
    prompts: promptsOf(evaluationPrompts(pairs, recipe), encoder),
    opponent: goldenPolicy.result.responses.map(({ text, tokens }): JudgedResponse => ({
      text,
      tokens: Int32Array.from(tokens),
      truncated: false,
    })),
    golden: judges[0],
    proxy: judges[1],
    start: reference,
    pairs: pairs.examples.slice(0, recipe.evaluation.pairs),
  };
  const close = async (): Promise<void> => {
    for (const judge of judges) await judge.dispose?.();
    await reference.dispose();
  };
  return [bench, pairs, close];
};

interface SourceParts {
  readonly policy: LanguageModel;
  readonly pairs: GoldenPairs;
  readonly bench: Bench;
  readonly context: StageContext;
  readonly inputs: ArmInputs;
}

const sourceOf = async (
  { method, seed }: Arm,
  { policy, pairs, bench, context, inputs }: SourceParts,
): Promise<readonly [Source, () => Promise<void>]> => {
  const { encoder, sampling } = bench.materials;
  const none = (): Promise<void> => Promise.resolve();
  const own = derivedSeed(seed, 'pairs');
  if (method === 'offline') {
    const { data } = inputs;
    const examples = data ? await readRegenerated(data) : pairs.examples;
    const name = data ? data.name : 'D_golden';
    const order = { order: 'shuffled', seed: own, lastBatch: 'across' } as const;
    return [datasetPairs({ examples, name, ...order }), none];
  }
  if (method !== 'online') {
    const order = method === 'tandem' ? 'recorded' : 'shuffled';
    // A stream without the ties that were dropped is a little shorter than the run.
    return [await replay({ log: logPath(inputs.online!), order, seed: own, epochs: 2 }), none];
  }
  const source = onPolicyPairs({
    policy,
    prompts: promptsOf(trainingPrompts(pairs), encoder),
    order: 'shuffled',
    judge: bench.proxy,
    decode: (response, prompt) => encoder.decode(response, prompt),
    sampling,
    seed: own,
  });
  const log = await ExperienceLog.open(join(context.folder, logName));
  return [recording(source, log), () => log.close()];
};

/** Keeps the manifest and nothing else. */
const keeper = (keep: (manifest: JsonObject) => void): Recorder => {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    begin: (manifest) => {
      keep(manifest);
      return nothing();
    },
    logStep: nothing,
    logEvaluation: nothing,
    saveCheckpoint: nothing,
    restore: () => Promise.resolve(null),
    end: nothing,
  };
};

const runArm = async (
  arm: Arm,
  ground: Ground,
  inputs: ArmInputs,
  context: StageContext,
): Promise<ArmResult> => {
  const { materials, start } = ground;
  const { arm: baseline, evaluation } = materials.recipe;
  const [bench, pairs, close] = await openBench(ground, inputs.proxy);
  await using policy = await loadModel(start, true);
  const [source, closeSource] = await sourceOf(arm, { policy, pairs, bench, context, inputs });
  const points: Point[] = [];
  const losses: number[] = [];
  let manifest: JsonObject = {};
  let samples: readonly Sample[] = [];
  const seed = derivedSeed(arm.seed, 'evaluation');
  // The tandem run ends in the weights of the online one, or has failed: no need to measure it.
  const evaluated = arm.method === 'tandem' ? [] : evaluation.steps;
  const steps = train({
    policy,
    ...(arm.objective === 'bo2' ? {} : { reference: bench.start }),
    source,
    objective: arm.objective === 'bo2' ? bo2.make() : ipo.make({ beta: arm.beta }),
    optimizer: adamW({ learningRate: arm.learningRate }),
    steps: baseline.steps,
    batchSize: baseline.batchSize,
    schedule: { type: 'constant' },
    recorder: keeper((found) => (manifest = found)),
    evaluate: {
      every: evaluated,
      run: async ({ step }) => {
        const found = await measure(policy, { step, seed }, bench);
        points.push(found.point);
        ({ samples } = found);
        return {};
      },
    },
    ...(context.signal ? { signal: context.signal } : {}),
  });
  try {
    for await (const { index, loss } of steps) {
      losses.push(loss);
      context.tick(index, baseline.steps);
    }
    const self = arm.method === 'tandem' ? null : await measureSelf(policy, seed, bench);
    await saveModel(policy, materials, context.folder);
    return { arm, manifest, points, losses, self, samples };
  } finally {
    await closeSource();
    await close();
  }
};

export interface ArmRun extends Artefact<ArmResult> {
  readonly arm: Arm;
}

export const armRun = async (
  study: Study,
  arm: Arm,
  ground: Ground,
  inputs: ArmInputs,
): Promise<ArmRun> => {
  const { materials, golden, dataset, start, goldenPolicy } = ground;
  const { arm: baseline, evaluation } = materials.recipe;
  const { proxy, online, data } = inputs;
  const used = [...(online ? [online] : []), ...(data ? [data] : [])];
  const artefact = await study.stage<ArmResult>({
    name: nameOf(arm),
    settings: { arm: { ...arm }, baseline: { ...baseline }, evaluation: { ...evaluation } },
    inputs: [golden, dataset, start, goldenPolicy, proxy, ...used],
    run: (context) => runArm(arm, ground, inputs, context),
  });
  return { ...artefact, arm };
};

/** The SFT policy itself, where all arms begin. */
export const startPoint = async (
  study: Study,
  ground: Ground,
  proxy: Artefact,
): Promise<Artefact<{ readonly point: Point; readonly samples: readonly Sample[] }>> => {
  const { materials, golden, dataset, start, goldenPolicy } = ground;
  return study.stage({
    name: 'start policy, measured',
    settings: { evaluation: { ...materials.recipe.evaluation } },
    inputs: [golden, dataset, start, goldenPolicy, proxy],
    run: async () => {
      const [bench, , close] = await openBench(ground, proxy);
      try {
        const seed = derivedSeed(0, 'start policy');
        return { ...(await measure(bench.start, { step: 0, seed }, bench)) };
      } finally {
        await close();
      }
    },
  });
};
