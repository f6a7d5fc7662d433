// What a run says about held-out rows: the objective's own loss and metrics, nothing being learnt.
import type { Totals } from '../../objectives/objective.js';
import type { Example } from '../../text/example.js';
import { mismatchedOf } from '../../training/accumulate.js';
import { gatherExperience } from '../../training/experience.js';
import { type Learner, passesOf, scorePass } from '../../training/learner.js';
import { totalsOf } from '../../training/normalization.js';
import { measured, rowOf } from '../../training/rows.js';

interface Part {
  readonly loss: number;
  readonly totals: Totals;
  readonly rows: number;
  readonly metrics: Readonly<Record<string, { readonly sum: number; readonly weight: number }>>;
}

const evaluateBatch = async (learner: Learner, examples: readonly Example[]): Promise<Part> => {
  const { objective } = learner;
  const experiences = await gatherExperience(learner, examples);
  const mismatched = objective.needs.mismatched ? await mismatchedOf(learner, examples) : null;
  const rows = new Array<ReturnType<typeof rowOf>>(examples.length);
  for (const pass of passesOf(learner, examples)) {
    const results = measured(pass, await scorePass(learner, pass), objective.needs);
    pass.places.forEach(({ example }, p) => {
      rows[example] = rowOf(experiences[example]!, results[p]!, mismatched?.[example]);
    });
  }
  const totals = totalsOf(examples);
  const { loss, metrics } = objective.evaluate(rows, totals);
  return { loss, metrics, totals, rows: rows.length };
};

/** A batch of one row cannot lend another row's response: the last one goes to the batch before. */
const batchesOf = (examples: readonly Example[], size: number): (readonly Example[])[] => {
  const batches: Example[][] = [];
  for (let at = 0; at < examples.length; at += size) {
    const batch = examples.slice(at, at + size);
    const last = batches.at(-1);
    if (batch.length === 1 && last) last.push(...batch);
    else batches.push(batch);
  }
  return batches;
};

/**
 * Mean loss over the rows, batch by batch as transformers takes it, and each metric's mean over all
 * rows; under the names of the training log.
 */
export const evaluateHeldOut = async (
  learner: Learner,
  examples: readonly Example[],
  batchSize: number,
): Promise<Record<string, number>> => {
  let loss = 0;
  const sums = new Map<string, { sum: number; weight: number }>();
  for (const batch of batchesOf(examples, batchSize)) {
    const part = await evaluateBatch(learner, batch);
    loss += (part.loss * part.rows) / examples.length;
    for (const [name, { sum, weight }] of Object.entries(part.metrics)) {
      const total = sums.get(name) ?? { sum: 0, weight: 0 };
      sums.set(name, { sum: total.sum + sum, weight: total.weight + weight });
    }
  }
  const means = [...sums].flatMap(([name, { sum, weight }]) =>
    weight === 0 ? [] : [[name, sum / weight] as const],
  );
  return { loss, ...Object.fromEntries(means) };
};
