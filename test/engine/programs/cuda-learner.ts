// On the device that ALIGNLAB_DEVICE names: one line for each algorithm whose learner is near the
// CPU's and goes on from a saved state. Then one about its memory.
import assert from 'node:assert/strict';
import { algorithms } from '../../../src/control/learner-options.js';
import type { Learner, LearnerMetrics, LearnerOptions } from '../../../src/control/learner.js';
import { cudaInfo } from '../../../src/engine/device.js';
import { AlignlabError } from '../../../src/errors.js';
import { actDim, made, sim } from '../../control/learner-fixtures.js';

const updates = 3;
const small = { hidden: [12, 8], batch: 12, seeds: [3, 4], learningRate: 1e-3 } as const;

const meanDistance = (a: Float32Array, b: Float32Array): number => {
  assert.equal(a.length, b.length);
  return a.reduce((sum, x, i) => sum + Math.abs(x - b[i]!), 0) / a.length;
};

/** What the second member says and does. */
const answers = (learner: Learner): Float32Array[] => {
  const { q1, q2, logRatio = q1, gap = q2 } = learner.inspect(sim, 1);
  const actions = new Float32Array(sim.n * actDim);
  learner.act(sim.obs, sim.n, 'sample', actions, 1);
  return [q1, q2, logRatio, gap, actions];
};

const check = async (algorithm: LearnerOptions['algorithm']): Promise<void> => {
  using there = made({ ...small, algorithm });
  using here = made({ ...small, algorithm, device: 'cpu' });
  using again = made({ ...small, algorithm });
  assert.equal(there.device, 'cuda:0');
  assert.equal(here.device, 'cpu');
  assert.deepEqual(there.parameters(1), here.parameters(1));
  const [metrics, expected] = [await there.update(updates), await here.update(updates)];
  for (const [name, value] of Object.entries(expected[1]!) as [string, number][]) {
    const actual = metrics[1]![name as keyof LearnerMetrics]!;
    assert(Math.abs(actual - value) <= 1e-4 * (1 + Math.abs(value)), `${name} ${actual} ${value}`);
  }
  // Sums in other orders; where a gradient is a rounding of zero, Adam's step may have any size up to
  // the rate, so parameters are near in the mean.
  assert(meanDistance(there.parameters(1), here.parameters(1)) < 1e-3 * small.learningRate);
  const ours = answers(here);
  for (const [i, values] of answers(there).entries()) {
    assert(meanDistance(values, ours[i]!) < 1e-5, `answer ${i}`);
  }
  if (algorithm !== 'cql') assert.deepEqual(there.transitions(1), here.transitions(1));
  const saved = there.state();
  const underway = there.update(2);
  again.restore(saved); // on this thread, while the other learner updates on its own
  await again.update(2);
  await underway;
  assert.deepEqual(again.state(), there.state());
  assert.throws(
    () => {
      there.restore(here.state());
    },
    (error: unknown) => error instanceof AlignlabError && error.code === 'DATA_INVALID',
  );
  console.log(algorithm);
};

const bytesInUse = (): number => cudaInfo().devices[0]!.bytesInUse;
const before = bytesInUse();
for (const algorithm of algorithms) await check(algorithm);
{
  using learner = made({ ...small, algorithm: 'sac' });
  assert(bytesInUse() - before >= learner.bytes);
}
console.log('memory');
