// The engine works on threads of its own: neither the event loop nor Node's own thread pool waits.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { engineInfo, setThreads } from '../../src/engine/device.js';
import { LanguageModel } from '../../src/engine/model.js';
import { temporaryFolder } from '../checkpoint/helpers.js';
import { longestBlock } from '../helpers/event-loop.js';
import { large, medium, mediumText } from '../helpers/medium.js';
import { owned } from '../helpers/models.js';

const allowed = 50; // ms

/** What blocks the loop does so every time; what a busy machine adds does not. */
const neverBlocks = async (
  t: Parameters<typeof owned>[0],
  what: string,
  work: () => Promise<unknown>,
): Promise<void> => {
  let shortest = Infinity;
  for (let attempt = 0; attempt < 4 && shortest >= allowed; ++attempt) {
    shortest = Math.min(shortest, await longestBlock(work));
  }
  t.true(shortest < allowed, `${what} blocked the event loop for ${shortest} ms`);
};

test.serial('the measurement sees a block of 60 ms', async (t) => {
  const longest = await longestBlock(async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const end = process.cpuUsage().user + 60_000;
    while (process.cpuUsage().user < end);
  });
  t.true(longest > allowed, `${longest} ms`);
});

test.serial('no operation blocks the event loop for 50 ms', async (t) => {
  const threads = engineInfo().threads;
  // One processor is left to the loop where there are two.
  await setThreads(Math.max(1, threads - 1));
  t.teardown(() => setThreads(threads));
  const folder = join(await temporaryFolder(t), 'medium');
  const model = owned(t, await LanguageModel.create(large));
  await neverBlocks(t, 'save', () => model.save(folder));
  await neverBlocks(t, 'load', async () => {
    await using loaded = await LanguageModel.load(folder);
    await loaded.clone().then((copy) => copy.dispose());
  });
  const text = [{ tokens: mediumText(400) }];
  await neverBlocks(t, 'score', () => model.score(text, { entropy: true }));
  await neverBlocks(t, 'generate', () =>
    model.generate([mediumText(200)], { samples: 16, maxNewTokens: 8, stopTokens: [] }),
  );
  await neverBlocks(t, 'train', async () => {
    const pass = await model.forward(text);
    await pass.backward({ logProbs: new Float32Array(399).fill(1) });
    await model.step({ learningRate: 1e-4 });
  });
  await neverBlocks(t, 'dispose', () => model.dispose());
});

test.serial("Node's own thread pool is not taken", async (t) => {
  const model = owned(t, await LanguageModel.create(medium));
  const text = [{ tokens: mediumText(300) }];
  let settled = 0;
  // More calls than Node's pool has threads.
  const calls = Array.from({ length: 8 }, () => model.score(text).then(() => (settled += 1)));
  for (let i = 0; i < 3; ++i) t.true((await readFile('package.json')).length > 0);
  t.true(settled < 8, 'three small files are read before eight passes are done');
  await Promise.all(calls);
});
