// What is measured on held-out rows is a mean over rows, not over batches (35).
import test from 'ava';
import { evaluateHeldOut } from '../../src/cli/training/held-out.js';
import { objectiveEntry } from '../../src/objectives/index.js';
import { frozenReference } from '../../src/training/reference.js';
import { owned } from '../helpers/models.js';
import { someCompletions, somePairs, tiny } from '../training/helpers.js';

for (const [name, examples] of [
  ['dpo', somePairs(11)],
  ['sft', someCompletions(11)],
] as const) {
  test(`${name}: held-out metrics do not depend on the batches that they are measured in`, async (t) => {
    const objective = objectiveEntry(name).make();
    const policy = await tiny(t);
    const other = owned(t, await (await tiny(t, 2)).clone({ trainable: false }));
    const learner = {
      policy,
      objective,
      reference: objective.needs.reference ? frozenReference(other) : null,
      critic: null,
      maxTokens: 1000,
      maxLength: 100,
      recompute: false,
      entropy: false,
    };
    const { loss, ...whole } = await evaluateHeldOut(learner, examples, examples.length);
    t.true(Object.keys(whole).length > 0);
    for (const size of [1, 3, 4, 10]) {
      const { loss: own, ...parts } = await evaluateHeldOut(learner, examples, size);
      for (const [metric, value] of Object.entries(whole)) {
        // The same f64 terms in another order of addition.
        t.true(Math.abs(parts[metric]! - value) < 1e-9 * Math.max(1, Math.abs(value)), metric);
      }
      // The loss of sft is a mean over tokens in each batch, as transformers reports it.
      if (name === 'dpo') t.true(Math.abs(own! - loss!) < 1e-9, `batches of ${size}`);
    }
  });
}
