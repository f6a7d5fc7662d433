// What the study found: result.json and the report.
import type { JsonObject } from '../../checkpoint/json.js';
import type { Report } from '../../report/report.js';
import { packageVersion } from '../../version.js';
import { type Outcome, figuresOf, forReport, writeStudy } from '../outcome.js';
import type { Study } from '../study.js';
import { paperSettings } from './paper.js';
import type { Recipe } from './recipe.js';

const paper = 'Song et al. 2024, arXiv 2406.01462';

/** Where the procedure is not the paper's, and why. */
export const deviations: readonly string[] = [
  'Sizes, steps and learning rates of the synthetic experiments could not be found in the paper: ' +
    'they are the library’s own.',
  'The three-response construction is a statement of existence in the paper. Here a policy whose ' +
    'parameters the responses share is trained into it, and the reference gives the third response ' +
    'a probability that is tiny instead of 0, so that the KL is a number.',
  'The reward model of RLHF in the extrapolation is the most likely linear one, which is what the ' +
    'log-linear policy of DPO stands for; it is not fitted a second time.',
  'The displacement needs a reference that prefers bad covered responses: with a uniform reference ' +
    'a tabular policy loses probability outside the data under DPO.',
  'On text the pairs come from the SFT policy, narrowed by temperature, top-k and a mask of words, and ' +
    "the world's rater labels them with noise; without noise it is the golden judge.",
  'On text the gradient of the reverse KL takes the exact KL of each token as its baseline and one ' +
    'sample a prompt, and lambda is thirty times the 1e-4 that is recalled of the paper (unverified): ' +
    'responses are shorter and KLs smaller.',
  'Three epochs of the pairs instead of one, so that DPO goes past its best; RLHF has beta 0.4, DPO ' +
    '0.05: at 0.1 RLHF goes far and fools the reward model. Both were chosen after looking at runs with ' +
    'seed 1.',
  'Seeds differ in the order of the pairs and in the samples; the pairs, the SFT policy and the ' +
    'reward model are shared.',
];

export const resultOf = (recipe: Recipe, { signatures, findings }: Outcome): JsonObject => ({
  study: 'coverage',
  paper,
  version: packageVersion,
  recipe: { ...recipe },
  paperSettings,
  deviations,
  signatures,
  experiments: Object.fromEntries([...findings].map(([id, { data = {} }]) => [id, data])),
});

const reportOf = (recipe: Recipe, outcome: Outcome, reproduce: string): Report => ({
  title: 'Coverage: what online samples buy without labels',
  question:
    'What do offline preference losses leave open where the data covers a part of what the policy ' +
    'can say, and how much of it do unlabelled samples of the policy close? After Song et al. 2024 ' +
    '(HyPO).',
  summary: [
    'DPO and IPO compare the responses of pairs; of all others they say nothing. RLHF samples from ' +
      'the policy and pays for each sample’s log-ratio to the reference; HyPO keeps the loss of DPO ' +
      'and adds that payment, without rewards. The first policies here are softmaxes over responses ' +
      'that can be enumerated, trained by the same loop, objectives and sources as language models; ' +
      'all quantities but the gradients’ noise are exact. Those on text are small transformers on a ' +
      'synthetic world.',
  ],
  deviations,
  signatures: outcome.signatures.map((signature) =>
    forReport(signature, `Song et al. 2024, ${signature.paper}`),
  ),
  figures: figuresOf(outcome),
  settings: { scale: recipe.scale, seeds: recipe.seeds.join(', ') },
  manifest: { version: packageVersion, recipe: { ...recipe }, paperSettings },
  reproduce: [reproduce],
  files: [{ label: 'result.json: everything measured', path: 'result.json' }],
});

/** Returns the path of the report. */
export const writeOutcome = (
  study: Study,
  recipe: Recipe,
  outcome: Outcome,
  reproduce: string,
): Promise<string> =>
  writeStudy(study, { result: resultOf(recipe, outcome) }, reportOf(recipe, outcome, reproduce));
