// Trust in the proxy: signatures on clouds with known answers, and the arms at the smallest scale.
import { join } from 'node:path';
import test from 'ava';
import { random } from '../../src/data/random.js';
import type { FrontierPoint } from '../../src/evaluation/frontier.js';
import { readExperience } from '../../src/sources/experience-log.js';
import { logPath } from '../../src/studies/performance-gap/arm-parts.js';
import { fallOf, trustSignatures } from '../../src/studies/performance-gap/experiments/trust.js';
import { performanceGap } from '../../src/studies/performance-gap/index.js';
import { type TrustAudit, areaUnderCurve } from '../../src/studies/performance-gap/trust-audit.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { smallest } from './recipe.js';

const prompts = 400;

const point = (rate: number, step: number): FrontierPoint => {
  const stream = random(1, 'outcomes');
  const outcomes = Array.from({ length: prompts }, () => Number(stream.uniform() < rate));
  const winRate = outcomes.reduce((sum, outcome) => sum + outcome, 0) / prompts;
  return { kl: step, winRate, run: 'run', step, seed: 1, outcomes };
};

/** Rises to the peak and falls to the end. */
const cloudOf = (peak: number, end: number): FrontierPoint[] =>
  [0.1, peak, end].map((rate, i) => point(rate, i + 1));

const audit = (gaps: readonly number[], right: string): TrustAudit => ({ gaps, right });

const verdictsOf = (...args: Parameters<typeof trustSignatures>) =>
  Object.fromEntries(trustSignatures(...args).map(({ id, verdict }) => [id, verdict]));

test('the area under the curve counts how often the wrong label has the larger gap', (t) => {
  t.is(areaUnderCurve(audit([3, 1, 2], 'xRR')), 1);
  t.is(areaUnderCurve(audit([0, 1, 2], 'xRR')), 0);
  t.is(areaUnderCurve(audit([1, 1, 2], 'xRR')), 0.25);
  t.is(areaUnderCurve(audit([1, 2], 'RR')), null);
});

test('trust holds the peak, does not, or has no fall to save', (t) => {
  const clouds = (
    own: readonly [number, number],
    plain: readonly [number, number] = [0.6, 0.3],
  ) => {
    const [trustedCloud, online] = [cloudOf(...own), cloudOf(...plain)];
    return { plain: online, weights: trustedCloud, penalty: trustedCloud, both: trustedCloud };
  };
  const knowing = [audit([3, 2, 1, 0], 'xxRR')];
  const chance = [audit([1, 0, 0, 1], 'xxRR')];
  t.true(Math.abs(fallOf(clouds([0.6, 0.3]).plain).value - 0.3) < 0.05);
  t.deepEqual(verdictsOf(clouds([0.65, 0.6]), knowing), {
    B7a: 'holds',
    B7b: 'holds',
    B7c: 'holds',
  });
  t.deepEqual(verdictsOf(clouds([0.5, 0.05]), chance), {
    B7a: 'does not hold',
    B7b: 'does not hold',
    B7c: 'does not hold',
  });
  const still = verdictsOf(clouds([0.6, 0.5], [0.6, 0.6]), [audit([1], 'R')]);
  t.is(still.B7a, 'not tested');
  t.is(still.B7c, 'not tested');
});

test('the arms run: weights and gaps are in their streams, and their keys are their own', async (t) => {
  const folder = await temporaryFolder(t);
  const recipe = { ...smallest, weakBeta: null, trust: { beta: 0.03, lambda: 0.3 } };
  const run = (resume: boolean) =>
    performanceGap({ recipe, folder: join(folder, 'study'), only: ['trust'], resume });
  const { lab, findings, computed } = await run(false);
  const arms = lab.arms();
  t.is(arms.length, 4);
  t.is(new Set(arms.map(({ key }) => key)).size, 4);
  const keys = await Promise.all(
    arms.map(async (arm) => {
      for await (const { example } of readExperience(logPath(arm))) {
        if (example.kind === 'pair') return ['weight' in example, 'gap' in example];
      }
      return [];
    }),
  );
  t.deepEqual(keys, [
    [false, false],
    [true, true],
    [false, true],
    [true, true],
  ]);
  t.deepEqual(
    findings.get('trust')!.signatures.map(({ id }) => id),
    ['B7a', 'B7b', 'B7c'],
  );
  t.is(findings.get('trust')!.figures.length, 3);
  t.true(computed > 0);
  t.is((await run(true)).computed, 0);
});
