// A misspelt option is refused with the nearest name wherever options are taken from a caller.
import test from 'ava';
import type { LanguageModel } from '../src/engine/model.js';
import { generationRequest } from '../src/engine/generate.js';
import { measureBestOfN } from '../src/evaluation/best-of-n.js';
import { classifyPairs, selfClassification } from '../src/evaluation/classification.js';
import { compareFrontiers } from '../src/evaluation/frontier.js';
import { klOfSamples, measureKl } from '../src/evaluation/kl.js';
import { perplexity } from '../src/evaluation/perplexity.js';
import { compareResponses, winRate } from '../src/evaluation/win-rate.js';
import { majorityJudge, rewardToPair, sumJudge } from '../src/judges/combine.js';
import { endpointJudge, endpointScoreJudge } from '../src/judges/endpoint.js';
import { functionJudge, functionPairJudge } from '../src/judges/function-judge.js';
import { preferenceModelJudge } from '../src/judges/preference-model.js';
import { rewardModelJudge } from '../src/judges/reward-model.js';
import { ruleJudge } from '../src/judges/rules.js';
import { datasetPairs, datasetSource } from '../src/sources/dataset.js';
import { labelPairs } from '../src/sources/label.js';
import { hybrid, mixture } from '../src/sources/mixture.js';
import { onPolicyPairs } from '../src/sources/on-policy-pairs.js';
import { onPolicyGroups } from '../src/sources/on-policy.js';
import { replay } from '../src/sources/replay.js';
import type { Example } from '../src/text/example.js';
import { assertError, caught } from './checkpoint/helpers.js';

const policy = { endTokens: [2], shape: { scalarOutputs: 1 } } as unknown as LanguageModel;
const example: Example = {
  kind: 'pair',
  prompt: Int32Array.of(1),
  responses: [{ tokens: Int32Array.of(2) }, { tokens: Int32Array.of(3) }],
  origin: 'pair 0',
};
const rule = ruleJudge('finished');
const pair = rewardToPair(rule);
const prompts = [{ tokens: Int32Array.of(1), text: 'a' }];
const source = datasetPairs({ examples: [example] });

/** Without types, as a caller of plain JavaScript: the last option has a letter too many. */
const misspelt = (options: object, name: string) =>
  ({ ...options, [`${name}s`]: 1 }) as unknown as never;

const edges: Readonly<Record<string, readonly [name: string, call: () => unknown]>> = {
  'generate()': ['topP', () => generationRequest([], misspelt({}, 'topP'), [])],
  datasetSource: ['order', () => datasetSource(misspelt({ examples: [example] }, 'order'))],
  onPolicyGroups: ['name', () => onPolicyGroups(misspelt({ policy, prompts }, 'name'))],
  onPolicyPairs: ['opponent', () => onPolicyPairs(misspelt({ policy, prompts }, 'opponent'))],
  mixture: ['seed', () => mixture(misspelt({ parts: [{ name: 'a', source, weight: 1 }] }, 'seed'))],
  hybrid: ['pairs', () => hybrid(misspelt({ pairs: source, samples: source }, 'pairs'))],
  replay: ['window', () => replay(misspelt({ log: 'none' }, 'window'))],
  labelPairs: ['seed', () => labelPairs([], misspelt({ judge: rule }, 'seed'))],
  functionJudge: [
    'concurrency',
    () => functionJudge(misspelt({ name: 'a' }, 'concurrency'), () => 0),
  ],
  functionPairJudge: [
    'bothOrder',
    () => functionPairJudge({ name: 'a', bothOrder: false } as never, () => 0),
  ],
  endpointJudge: [
    'retrie',
    () => endpointJudge({ url: 'http://x/v1', model: 'm', retrie: 1 } as never),
  ],
  endpointScoreJudge: [
    'timeoutM',
    () => endpointScoreJudge({ url: 'http://x/v1', model: 'm', timeoutM: 1 } as never),
  ],
  rewardModelJudge: [
    'model',
    () => rewardModelJudge(misspelt({ model: policy, name: 'a' }, 'model')),
  ],
  preferenceModelJudge: [
    'hard',
    () => preferenceModelJudge(misspelt({ model: policy, name: 'a' }, 'hard')),
  ],
  rewardToPair: ['hard', () => rewardToPair(rule, misspelt({}, 'hard'))],
  majorityJudge: ['role', () => majorityJudge([pair], misspelt({ name: 'a' }, 'role'))],
  sumJudge: ['role', () => sumJudge([{ judge: rule, weight: 1 }], misspelt({ name: 'a' }, 'role'))],
  ruleJudge: ['role', () => ruleJudge('length', {}, misspelt({}, 'role'))],
  winRate: ['level', () => winRate(misspelt({}, 'level'))],
  compareResponses: ['level', () => compareResponses(rule, [], [], [], misspelt({}, 'level'))],
  measureKl: ['seed', () => measureKl(misspelt({}, 'seed'))],
  klOfSamples: ['maxToken', () => klOfSamples(policy, policy, [], { maxToken: 1 } as never)],
  measureBestOfN: ['proxy', () => measureBestOfN(misspelt({}, 'proxy'))],
  perplexity: ['level', () => perplexity(policy, [example], misspelt({}, 'level'))],
  classifyPairs: ['level', () => classifyPairs([example], misspelt({}, 'level'))],
  selfClassification: ['judge', () => selfClassification(misspelt({}, 'judge'))],
  compareFrontiers: ['budget', () => compareFrontiers([], [], { budget: 3 } as never)],
};

for (const [edge, [name, call]] of Object.entries(edges)) {
  test(`${edge} refuses an option that it does not have`, async (t) => {
    const error = await caught(async () => {
      await call();
    });
    assertError(t, error, 'OPTION_INVALID', 'has no option', 'Did you mean', name);
  });
}
