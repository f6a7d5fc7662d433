// Engines in worker threads, the way that the first argument says. Prints what it saw.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { medium } from '../../helpers/medium.js';

type Way = 'compare' | 'terminate' | 'worker-only';

const score = async (): Promise<string> => {
  const { LanguageModel } = await import('../../../src/engine/model.js');
  const model = await LanguageModel.create({ ...medium, num_hidden_layers: 2 }, { seed: 1 });
  const { logProbs } = await model.score([{ tokens: [1, 2, 3, 4] }]);
  return [...logProbs].join();
};

const generateForever = async (): Promise<void> => {
  const { LanguageModel } = await import('../../../src/engine/model.js');
  const model = await LanguageModel.create(medium);
  const stream = model.generateStream([[1]], { maxNewTokens: 2000, samples: 64, stopTokens: [] });
  for await (const { token } of stream) parentPort?.postMessage(token);
};

const start = (way: Way): Worker => new Worker(fileURLToPath(import.meta.url), { workerData: way });
const firstMessage = (worker: Worker): Promise<unknown> =>
  new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
const ended = (worker: Worker): Promise<number> =>
  new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));

if (!isMainThread) {
  if ((workerData as Way) === 'terminate') await generateForever();
  else parentPort?.postMessage(await score());
} else {
  const way = process.argv[2] as Way;
  if (way === 'compare') {
    const workers = [start(way), start(way)];
    const ends = workers.map(ended);
    const results = await Promise.all([score(), ...workers.map(firstMessage)]);
    console.log(`codes ${(await Promise.all(ends)).join()}`);
    console.log(results.every((result) => result === results[0]) ? 'equal' : results.join(' | '));
  } else if (way === 'terminate') {
    const worker = start(way);
    await firstMessage(worker);
    console.log(`code ${await worker.terminate()}`);
    console.log(`main ${(await score()).split(',').length}`);
  } else {
    // Node unloads an addon when its last environment ends; a thread left in it would crash here.
    for (let i = 0; i < 2; ++i) {
      const worker = start(way);
      const end = ended(worker);
      await firstMessage(worker);
      console.log(`code ${await end}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    console.log('main goes on');
  }
}
