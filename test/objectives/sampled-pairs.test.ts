// Objectives on comparisons of samples: Nash-MD and XPO.
import test from 'ava';
import { dpo } from '../../src/objectives/dpo.js';
import { ipo } from '../../src/objectives/ipo.js';
import { nashMd } from '../../src/objectives/nash-md.js';
import type { Row } from '../../src/objectives/objective.js';
import { xpo } from '../../src/objectives/xpo.js';
import { doubles, evaluateAll, randomRows } from './helpers.js';
import { assertNear } from './near.js';
import { freshGroups, group, response, withSequences } from './samples.js';

const policy = doubles([-0.5, -1.2, -0.3]);
const reference = doubles([-0.6, -1.0, -0.7]);

const judged = (reward: number | null): Row =>
  group(response(3, { logProbs: policy, behaviour: policy, reference, reward }));

const slopes = (klLevel: string, reward: number | null): readonly number[] => {
  const objective = nashMd.make({ klLevel });
  const { gradients } = evaluateAll(objective, objective.prepare!([judged(reward)]));
  return [...(gradients[0]![0]!.logProbs ?? [])];
};

test('nash-md: token gradients at a preference of 0.7, by either KL', (t) => {
  // float32.
  assertNear(t, slopes('token', 0.7), [-0.19, -0.22, -0.16], 1e-7);
  assertNear(t, slopes('sequence', 0.7), [-0.17, -0.17, -0.17], 1e-7);
});

test('nash-md: a tie leaves the KL alone; what was not judged leaves nothing', (t) => {
  assertNear(t, slopes('sequence', 0.5), [0.03, 0.03, 0.03], 1e-8);
  t.deepEqual(slopes('sequence', null), []);
});

test('nash-md: a reward that is no preference is refused', (t) => {
  for (const reward of [2, -0.1]) {
    t.throws(() => slopes('token', reward), { code: 'JUDGE_FAILED', message: /from 0 to 1/ });
  }
});

test('nash-md: swapping winner and loser mirrors the score term', (t) => {
  const plain = slopes('sequence', 0.5);
  const [won, lost] = [slopes('sequence', 0.9), slopes('sequence', 0.1)];
  won.forEach((slope, i) => {
    assertNear(t, [slope - plain[i]!], [plain[i]! - lost[i]!], 1e-7);
  });
});

test('nash-md: the metrics are means over judged samples', (t) => {
  const objective = nashMd.make();
  const rows = objective.prepare!(freshGroups(1, [[0.2, null, 0.7, 1]]));
  const { metrics } = evaluateAll(objective, rows);
  t.is(metrics['rewards/probabilities']!.weight, 3);
  assertNear(t, [metrics['rewards/probabilities']!.sum], [1.9], 1e-12);
});

const marked = (seed: number, side: number): Row[] =>
  randomRows({ kind: 'pair', seed }).map((row) =>
    withSequences(row, (one, s) => ({ ...one, fromReference: s === side })),
  );

test('xpo is the contrastive loss and alpha on the samples of the reference', (t) => {
  for (const [lossType, contrastive] of [
    ['sigmoid', dpo],
    ['ipo', ipo],
  ] as const) {
    for (const side of [0, 1]) {
      const rows = marked(2, side);
      const plain = evaluateAll(contrastive.make({ beta: 0.2 }), rows);
      const found = evaluateAll(xpo.make({ beta: 0.2, alpha: 0.5, lossType }), rows);
      const sums = rows.map(({ sequences }) =>
        sequences[side]!.logProbs.reduce((a, b) => a + b, 0),
      );
      const mean = sums.reduce((a, b) => a + b) / rows.length;
      assertNear(t, [found.loss], [plain.loss + 0.5 * mean], 1e-12);
      found.gradients.forEach((pair, r) => {
        pair.forEach(({ logProbs }, s) => {
          const before = plain.gradients[r]![s]!.logProbs!;
          const added = s === side ? 0.5 / rows.length : 0;
          // float32 of a sum of about 10.
          assertNear(
            t,
            logProbs!,
            before.map((x) => x + added),
            1e-6,
          );
        });
      });
      assertNear(t, [found.metrics['loss/xpo']!.sum], [0.5 * mean * rows.length], 1e-12);
    }
  }
});

test('xpo with alpha 0 is online DPO', (t) => {
  const rows = marked(3, 1);
  t.deepEqual(
    evaluateAll(xpo.make({ alpha: 0 }), rows).gradients,
    evaluateAll(dpo.make(), rows).gradients,
  );
});

test('xpo refuses pairs that do not say which one the reference drew', (t) => {
  for (const rows of [
    marked(4, 2),
    marked(4, 0).map((row) => withSequences(row, (one) => ({ ...one, fromReference: true }))),
  ]) {
    t.throws(() => evaluateAll(xpo.make(), rows), {
      code: 'DATA_INVALID',
      message: /fromReference/,
    });
  }
});
