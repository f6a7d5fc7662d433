// Leaves a model and a forward pass undisposed behind. Nothing is pending, so the process ends.
import { LanguageModel } from '../../../src/engine/model.js';
import { medium } from '../../helpers/medium.js';

const model = await LanguageModel.create({ ...medium, num_hidden_layers: 1 });
await model.forward([{ tokens: [1, 2, 3] }]);
// Not awaited: a pending call keeps the process alive until it has settled.
void model.score([{ tokens: [1, 2, 3] }]).then(({ logProbs }) => {
  console.log(`scored ${logProbs.length}`);
});
