// Ends the process with code 7 while a call of minutes is running and others wait.
import { LanguageModel } from '../../../src/engine/model.js';
import { medium } from '../../helpers/medium.js';

const model = await LanguageModel.create(medium);
for (let i = 0; i < 3; ++i) {
  void model.generate([[1, 2, 3]], { maxNewTokens: 2000, samples: 64, stopTokens: [] });
}
setTimeout(() => {
  console.log(`exit at ${Date.now()}`);
  process.exit(7);
}, 300);
