// The end of a text is learnt where the token that ends it is also the one that would pad (4).
import test from 'ava';
import { objectiveEntry } from '../../src/objectives/index.js';
import { datasetSource } from '../../src/sources/dataset.js';
import { Encoder } from '../../src/text/encoding.js';
import type { TextRecord } from '../../src/text/example.js';
import { adamW } from '../../src/training/optimizer.js';
import { encoded } from '../text/rows.js';
import { tokenizerOf } from '../text/tokenizers.js';
import { runOf, tiny } from '../training/helpers.js';

const end = '<end>';
const words = [end, 'one', 'two', 'three', 'four', 'five', 'six', 'seven', '[UNK]'];
const definition = {
  added_tokens: [
    {
      id: 0,
      content: end,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    },
  ],
  pre_tokenizer: { type: 'WhitespaceSplit' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(words.map((word, id) => [word, id])),
    unk_token: '[UNK]',
  },
};

const row = (prompt: string, completion: string): TextRecord => ({
  kind: 'completion',
  prompt,
  completion,
  origin: prompt,
});

// Responses of different lengths, and a prompt that has the token in its middle.
const rows = [
  row('one', ' two three'),
  row('four', ' five'),
  row('six', ' one two three four'),
  row(`seven ${end} two`, ' five six'),
];

test('pad is eos: the end of a response is trained on, and then drawn', async (t) => {
  const names = { bos_token: null, eos_token: end, pad_token: end };
  const encoder = new Encoder(await tokenizerOf(t, definition, names));
  const examples = rows.map((each) => encoded(encoder, each));
  t.deepEqual(
    examples.map(({ responses }) => responses[0]!.tokens.at(-1)),
    [0, 0, 0, 0],
  );
  t.deepEqual([...examples[3]!.prompt], [7, 0, 2]);
  const policy = await tiny(t);
  const train = (steps: number) =>
    runOf({
      policy,
      source: datasetSource({ examples }),
      objective: objectiveEntry('sft').make(),
      optimizer: adamW({ learningRate: 1e-2 }),
      schedule: { type: 'constant' },
      batchSize: 4,
      steps,
    });
  const greedy = async (): Promise<number[][]> => {
    const drawn = await policy.generate(
      examples.map(({ prompt }) => prompt),
      { temperature: 0, stopTokens: [0], maxNewTokens: 12 },
    );
    return drawn.map(({ tokens }) => [...tokens]);
  };
  const wanted = examples.map(({ responses }) => [...responses[0]!.tokens]);
  t.notDeepEqual(await greedy(), wanted, 'not before it was learnt');
  await train(200);
  t.deepEqual(await greedy(), wanted);
});
