// Everything that a caller may leave hanging; prints "quiet" unless a rejection goes unhandled.
import { LanguageModel } from '../../../src/engine/model.js';
import { medium } from '../../helpers/medium.js';

const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(reason));

const config = { ...medium, num_hidden_layers: 2 };
const options = { maxNewTokens: 200, stopTokens: [] };
{
  const model = await LanguageModel.create(config);
  // Streams: left at once, never iterated, disposed under the reader.
  for await (const _ of model.generateStream([[1]], options)) break;
  model.generateStream([[1]], options);
  const stream = model.generateStream([[1]], options);
  setTimeout(() => void model.dispose(), 50);
  try {
    for await (const _ of stream);
  } catch (error) {
    console.log((error as { code: string }).code);
  }
}
{
  const model = await LanguageModel.create(config);
  const controller = new AbortController();
  const call = model.generate([[1]], { ...options, signal: controller.signal });
  controller.abort();
  controller.abort();
  await call.catch((error: unknown) => {
    console.log((error as Error).name);
  });
  await Promise.all([model.dispose(), model.dispose()]);
}
await new Promise((resolve) => setTimeout(resolve, 100));
console.log(unhandled.length === 0 ? 'quiet' : unhandled.map(String).join());
