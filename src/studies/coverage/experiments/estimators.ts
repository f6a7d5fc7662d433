// Estimates of the gradient of the reverse KL from samples (Song et al. 2024, algorithm 1): those
// that the objective hypo makes, on policies whose exact gradient is known. All are unbiased; what
// baselines gain in variance depends on how far the policy is from its reference.
import { random } from '../../../data/random.js';
import { hypo } from '../../../objectives/hypo.js';
import type { Row, Sequence, Totals } from '../../../objectives/objective.js';
import { exactKl, exactKlGradient } from '../../../policies/exact.js';
import {
  type EnumerablePolicy,
  ResponseSpace,
  noPrompt,
  tabularPolicy,
} from '../../../policies/index.js';
import { promptWithResponses } from '../../../engine/batch.js';
import { renderChart } from '../../../report/charts.js';
import type { ReportFigure } from '../../../report/report.js';
import type { Experiment, Findings } from '../../experiment.js';
import { type Signature, below, measuredSignature, notTested } from '../../signature.js';
import type { StageContext } from '../../study.js';
import type { Lab } from '../lab.js';
import type { Estimators } from '../recipe.js';
import { decimals, overSeeds } from '../toys/curves.js';
import { GradientMoments, type GradientQuality } from '../toys/moments.js';

const paper = 'algorithm 1; the parameter k of RLOO';

const estimates = [
  { baseline: 'none', samples: 1 },
  { baseline: 'rloo', samples: 2 },
  { baseline: 'rloo', samples: 4 },
  { baseline: 'token', samples: 1 },
  { baseline: 'exact', samples: 1 },
] as const;

const most = Math.max(...estimates.map(({ samples }) => samples));

type Estimate = (typeof estimates)[number];

const labelOf = ({ baseline, samples }: Estimate): string =>
  baseline === 'rloo' ? `rloo, k = ${samples}` : baseline;

type Family = 'single' | 'product';

const spaceOf = (family: Family, { single, product }: Estimators): ResponseSpace => {
  const choices = (count: number) => Array.from({ length: count }, (_, i) => i);
  return family === 'single'
    ? ResponseSpace.of(choices(single.responses).map((token) => [token]))
    : ResponseSpace.product(choices(product.tokens).map(() => choices(product.choices)));
};

/** Normal logits, and a policy `distance` times other normal numbers away from them. */
const policiesOf = (space: ResponseSpace, distance: number, seed: number) => {
  const normal = (name: string): number[] => {
    const stream = random(seed, name);
    return Array.from({ length: space.edges }, () => stream.gaussian());
  };
  const [base, offset] = [normal('reference'), normal('offset')];
  const reference = tabularPolicy({ space, logits: (_, edge) => base[edge]! });
  const moved = (_: number, edge: number): number => base[edge]! + distance * offset[edge]!;
  return { policy: tabularPolicy({ space, logits: moved }), reference };
};

const totalsOf = (samples: number, tokens: number): Totals => ({
  pairs: 0,
  completions: 0,
  groups: 1,
  samples,
  chosenTokens: 0,
  rejectedTokens: 0,
  completionTokens: 0,
  sampleTokens: tokens,
  promptTokens: 0,
});

interface Measured {
  readonly label: string;
  readonly samples: number;
  readonly quality: GradientQuality;
}

interface PolicyResult extends Record<string, unknown> {
  readonly kl: number;
  readonly estimators: readonly Measured[];
}

interface Models {
  readonly policy: EnumerablePolicy;
  readonly reference: EnumerablePolicy;
}

/** One estimate by each objective from the first of these responses, by the trainer's own way back. */
const estimateAll = async (
  { policy, reference }: Models,
  responses: readonly Int32Array[],
  found: readonly { readonly estimate: Estimate; readonly moments: GradientMoments }[],
): Promise<void> => {
  const batch = promptWithResponses(noPrompt, responses);
  const theirs = await reference.score(batch);
  const { kl, offsets } = await policy.kl(reference, batch);
  for (const { estimate, moments } of found) {
    const { baseline, samples } = estimate;
    const pass = await policy.forward(batch.slice(0, samples + 1));
    const sequences = responses.slice(0, samples).map((_, r): Sequence => ({
      logProbs: pass.logProbsOf(r + 1),
      reference: theirs.logProbsOf(r + 1),
      exactKl: kl.subarray(offsets[r + 1], offsets[r + 2]),
    }));
    const row: Row = { kind: 'group', sequences };
    const { gradients } = hypo({ lambda: 1, baseline }).evaluate(
      [row],
      totalsOf(samples, pass.logProbs.length),
    );
    const logProbs = new Float32Array(pass.logProbs.length);
    gradients[0]!.forEach((gradient, r) => {
      logProbs.set(gradient.logProbs!, pass.offsets[r + 1]);
    });
    await pass.backward({ logProbs });
    moments.add(policy.gradients);
    await policy.zeroGradients();
  }
};

const measure = async (
  models: Models,
  draws: number,
  seed: number,
  { tick }: Pick<StageContext, 'tick'>,
): Promise<PolicyResult> => {
  const exact = exactKlGradient(models.policy, models.reference);
  const found = estimates.map((estimate) => ({ estimate, moments: new GradientMoments(exact) }));
  const part = 500;
  for (let done = 0; done < draws; done += part) {
    const groups = Math.min(part, draws - done);
    const seeds = BigUint64Array.from({ length: groups * most }, (_, i) =>
      BigInt(seed) * 2n ** 40n + BigInt(done * most + i),
    );
    const drawn = await models.policy.generate(
      Array.from({ length: groups }, () => noPrompt),
      { samples: most, seed: seeds },
    );
    for (let group = 0; group < groups; group += 1) {
      const own = drawn.slice(group * most, (group + 1) * most).map(({ tokens }) => tokens);
      await estimateAll(models, own, found);
    }
    tick(done + groups, draws);
  }
  return {
    kl: exactKl(models.policy, models.reference),
    estimators: found.map(({ estimate, moments }) => ({
      label: labelOf(estimate),
      samples: estimate.samples,
      quality: moments.quality,
    })),
  };
};

interface Found {
  readonly family: Family;
  readonly distance: number;
  readonly result: PolicyResult;
}

const run = async (lab: Lab, seed: number): Promise<Found[]> => {
  const recipe = lab.recipe.estimators!;
  const { draws } = recipe;
  const found: Found[] = [];
  for (const family of ['single', 'product'] as const) {
    for (const distance of recipe[family].distances) {
      const { [family]: shape } = recipe;
      const settings = { family, shape: { ...shape, distances: [] }, distance, draws, seed };
      const { result } = await lab.stage({
        name: `estimators, ${family}, distance ${distance} (seed ${seed})`,
        settings,
        run: (context) =>
          measure(policiesOf(spaceOf(family, recipe), distance, seed), draws, seed, context),
      });
      found.push({ family, distance, result });
    }
  }
  return found;
};

/** Variance of as many estimates as one sample costs: k samples are k times as dear as one. */
const perSample = ({ result }: Found, label: string): number => {
  const { samples, quality } = result.estimators.find((each) => each.label === label)!;
  return samples * quality.variance;
};

const far = 10;

const signaturesOf = (found: readonly Found[]): Signature[] => {
  const errors = found.flatMap(({ result }) =>
    result.estimators.map(({ quality }) => quality.bias / quality.standardError),
  );
  const biases = found.flatMap(({ result }) => result.estimators.map(({ quality }) => quality.bias));
  const ratio = (one: Found): number => perSample(one, 'rloo, k = 2') / perSample(one, 'none');
  const ratios = (isFar: boolean) =>
    found.filter(({ result }) => result.kl >= far === isFar).map(ratio);
  const claim = {
    id: 'S2.7b',
    claim: `estimators: from ${far} nats up rloo (k = 2) has less variance than no baseline`,
    paper,
  };
  return [
    measuredSignature(
      {
        id: 'S2.7a',
        claim: 'estimators: every baseline is unbiased: its error is within 3 standard errors',
        paper,
      },
      { value: Math.max(...errors), interval: null },
      below(3),
      `largest error in standard errors, over all policies, baselines and seeds; relative errors ` +
        `up to ${decimals(100 * Math.max(...biases))} %`,
    ),
    ratios(true).length > 0
      ? measuredSignature(
          claim,
          overSeeds(ratios(true)),
          below(1),
          'ratio of variances at the same number of samples; nearer to the reference it is ' +
            `${ratios(false).map((each) => decimals(each)).join(', ')}, and need not be below 1`,
        )
      : notTested(claim.id, claim.claim, paper, `no policy of this scale is ${far} nats away`),
  ];
};

const titles = {
  single: 'one token',
  product: 'independent tokens',
} as const;

const figureOf = async (found: readonly Found[]): Promise<ReportFigure> => ({
  ...(await renderChart({
    kind: 'multiples',
    name: 'estimators-variance',
    ownAxes: true,
    panels: (['single', 'product'] as const).map((family) => ({
      kind: 'scatter' as const,
      name: `estimators-${family}`,
      title: titles[family],
      x: { title: 'KL from the reference', unit: 'nats', scale: 'log' as const },
      y: { title: 'variance per sample', scale: 'log' as const },
      clouds: estimates.map((estimate) => ({
        label: labelOf(estimate),
        points: found
          .filter((one) => one.family === family)
          .map((one) => ({ x: one.result.kl, y: perSample(one, labelOf(estimate)) })),
      })),
    })),
  })),
  title: 'Variance of the estimates of the gradient of the KL',
  caption:
    'Each point is a policy of one seed. Variances are relative to the squared gradient, and times k, so that ' +
    'estimates are compared at the same number of samples. Panels have axes of their own.',
  signatures: ['S2.7a', 'S2.7b'],
});

const findings = async (_: Lab, bySeed: readonly (readonly Found[])[]): Promise<Findings> => {
  const found = bySeed.flat();
  return {
    signatures: signaturesOf(found),
    figures: [await figureOf(found)],
    data: {
      table: found.map(({ family, distance, result }) => ({
        family,
        distance,
        kl: result.kl,
        estimators: result.estimators.map(({ label, quality }) => ({ label, ...quality })),
      })),
    },
  };
};

export const estimators: Experiment<Lab, Found[]> = {
  id: 'estimators',
  title: 'Estimators of the gradient of the KL',
  includes: ({ recipe }) => recipe.estimators !== null,
  run,
  findings,
};
