// A signal stops the call that it was given to, before or during its work, with its own reason.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { LanguageModel } from '../../src/engine/model.js';
import { caught, temporaryFolder } from '../checkpoint/helpers.js';
import { golden, load, owned } from '../helpers/models.js';
import { medium, mediumText } from '../helpers/medium.js';

const text = [{ tokens: mediumText(1000) }];
const endless = { maxNewTokens: 2000, samples: 8, stopTokens: [] };

type Call = (model: LanguageModel, signal: AbortSignal) => Promise<unknown>;

const calls: Readonly<Record<string, Call>> = {
  score: (model, signal) => model.score(text, { signal }),
  forward: (model, signal) => model.forward(text, { signal }),
  kl: (model, signal) => model.kl(model, text, { signal }),
  generate: (model, signal) => model.generate([[1]], { ...endless, signal }),
  generateStream: (model, signal) => model.generateStream([[1]], { ...endless, signal }).result,
};

for (const [name, call] of Object.entries(calls)) {
  test.serial(`${name} stops`, async (t) => {
    const model = owned(t, await LanguageModel.create(medium));
    const reason = new Error('enough');
    t.is(await caught(() => call(model, AbortSignal.abort(reason))), reason);
    const controller = new AbortController();
    const stopped = caught(() => call(model, controller.signal));
    const other = model.score([{ tokens: [1, 2] }]);
    setTimeout(() => {
      controller.abort(reason);
    }, 5);
    t.is(await stopped, reason);
    t.is((await other).logProbs.length, 1, 'a call without the signal goes on');
    controller.abort();
  });
}

test.serial('a backward pass that is stopped leaves no half of a gradient', async (t) => {
  const model = owned(t, await LanguageModel.create(medium));
  const logProbs = new Float32Array(999).fill(1);
  const reason = new Error('enough');
  const first = await model.forward(text);
  await first.backward({ logProbs });
  const expected = await model.gradNorm();
  t.true(expected > 0);
  const pass = await model.forward(text);
  const controller = new AbortController();
  const stopped = caught(() => pass.backward({ logProbs }, { signal: controller.signal }));
  setTimeout(() => {
    controller.abort(reason);
  }, 5);
  t.is(await stopped, reason);
  const left = await model.gradNorm();
  t.true(left === 0 || left === expected, `cleared, or stopped before it began: ${left}`);
  await model.zeroGradients();
  pass.dispose();
  const again = await model.forward(text);
  await again.backward({ logProbs });
  t.is(await model.gradNorm(), expected);
});

test.serial('a loop over a stream ends with the reason', async (t) => {
  const model = owned(t, await LanguageModel.create(medium));
  const controller = new AbortController();
  const reason = new Error('enough');
  let seen = 0;
  const error = await caught(async () => {
    for await (const _ of model.generateStream([[1]], { ...endless, signal: controller.signal })) {
      if (++seen === 4) controller.abort(reason);
    }
  });
  t.is(error, reason);
  t.true(seen >= 4);
});

test.serial('loading and saving stop, and leave nothing', async (t) => {
  const folder = await temporaryFolder(t);
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  t.is(await caught(() => LanguageModel.load(golden('llama'), { signal })), reason);
  t.is(await caught(() => LanguageModel.create(medium, { signal })), reason);
  const model = await load(t, golden('llama'));
  const path = join(folder, 'below', 'model');
  t.is(await caught(() => model.save(path, { signal })), reason);
  t.deepEqual(await readdir(folder), []);
  const large = owned(t, await LanguageModel.create(medium));
  const controller = new AbortController();
  const saving = caught(() =>
    large.save(join(folder, 'model'), { signal: controller.signal, maxShardBytes: 1_000_000 }),
  );
  setTimeout(() => {
    controller.abort(reason);
  }, 5);
  t.is(await saving, reason);
  t.deepEqual(await readdir(folder), []);
});
