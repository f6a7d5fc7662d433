// What result.json and the report say of the ground of a run: a world with its rater, or the user's
// checkpoint and pairs.
import { basename, resolve } from 'node:path';
import type { JsonObject } from '../../checkpoint/json.js';
import type { DiagramDescription } from '../../report/diagram.js';
import { toldCounts } from './files.js';
import type { FilesResult } from './files-task.js';
import type { Lab } from './lab.js';
import { protocol } from './protocol-diagram.js';
import type { Recipe } from './recipe.js';

const ofWorlds: readonly string[] = [
  'Decoder-only models of tens of thousands of parameters with random initial weights, on a ' +
    'synthetic world of text, instead of T5 models of 0.77 to 11 billion on four tasks.',
  'D_initial is labelled by a rule with noise instead of people.',
  'One world a run, with an SFT policy of its own; the paper has one SFT for the union of tasks.',
];

const ofAll: readonly string[] = [
  'Seeds differ in the proxy, the order of the data and the samples; the golden model, D_golden, ' +
    'the SFT policy and the golden policy are shared. The paper reports no seeds.',
  'KL and win rate are measured on the same responses to the evaluation prompts.',
  'AdamW at a constant learning rate; the IPO loss as (gap - 1/(2 beta))^2; ties of the judge are ' +
    'dropped from the batch. The paper names no optimiser and no tie policy.',
  'The lengths, learning rates and betas of the offline sweep are those of the settings below; the ' +
    'paper has 1 and 5 times the online steps, three learning rates, and betas 0.1, 0.5 and 1.',
];

const ofScales: readonly string[] = [
  'Sizes, betas and learning rates of the scales ci and quick were chosen after looking at earlier ' +
    'runs on the world summarise. One of them, with a proxy of 9,000 parameters and offline arms at ' +
    'beta 0.03 too, left the gap undetermined (-0.02). These scales show; they do not test.',
];

const ofProxySizes = ({ proxySizes, golden }: Recipe): readonly string[] =>
  proxySizes.includes(golden.parameters)
    ? [
        'The largest proxy is as large as the golden model: it differs in what it learned from, not ' +
          'in size. The paper has one proxy, of 0.77 billion parameters beside 11.',
      ]
    : [];

const filesResultOf = ({ materials }: Lab): FilesResult => materials.artefact.result as FilesResult;

const modelName = ({ files }: Recipe): string => basename(resolve(files?.model ?? ''));

const preferencesName = ({ files }: Recipe): string => {
  const given = files?.preferences ?? [];
  const paths = typeof given === 'object' && 'path' in given ? given.path : given;
  return [paths]
    .flat()
    .map((path) => basename(path))
    .join(', ');
};

const ofFiles = (lab: Lab): readonly string[] => {
  const { blocks, proxyBlocks, ...counts } = filesResultOf(lab);
  return [
    `One decoder-only checkpoint, ${modelName(lab.recipe)}, is the start of every model, instead of ` +
      'T5 models of 0.77 to 11 billion. The golden model is all of it under a scalar head.',
    `The proxy is its first ${proxyBlocks} of ${blocks} blocks under a scalar head of its own, since ` +
      'one checkpoint has no smaller relative: the early blocks are the part that works without ' +
      'the others.',
    'No rater is known behind the labels: there is no noise-free truth to hold the golden model ' +
      'against, only the labels of held-out pairs.',
    `${toldCounts(counts)}. Cut, they would not be what somebody chose between. Pairs are drawn at ` +
      'random, held-out ones too, which may have a prompt in common with others.',
    'Policies of other sizes (figures 10, 11 and 14, S1.13) are left out: a policy cut short ' +
      'writes no text, and is no smaller one of its family.',
    'Sizes, learning rates and betas were not tuned to these files. A gap that does not appear may ' +
      'be one of settings.',
  ];
};

export interface Premises {
  /** Where the procedure is not the paper's, and why. */
  readonly deviations: readonly string[];
  readonly protocol: DiagramDescription;
  /** Who labels D_initial: how the summary begins. */
  readonly labels: string;
  readonly golden: string;
  readonly settings: Readonly<Record<string, string | number>>;
  /** As result.json has it: without paths, and without what does not matter. */
  readonly recipe: JsonObject;
}

const share = (value: number): string => value.toFixed(3);

const worldPremises = ({ recipe, golden }: Lab): Premises => ({
  deviations: [...ofWorlds, ...ofAll, ...ofProxySizes(recipe), ...ofScales],
  protocol,
  labels: 'A rater labels D_initial',
  golden:
    "The golden model agrees with the rater's noise-free score on " +
    `${share(golden.result.raterAgreement ?? NaN)} of held-out pairs`,
  settings: { world: recipe.world ?? '' },
  recipe: { ...recipe },
});

const labelledByUser = (diagram: DiagramDescription): DiagramDescription => ({
  ...diagram,
  nodes: diagram.nodes.map((node) =>
    node.id === 'initial' ? { ...node, sublabel: 'pairs with the labels of the file' } : node,
  ),
});

const filesPremises = (lab: Lab): Premises => {
  const { recipe, golden } = lab;
  const { difficulty: _, noise: __, prompts: ___, files, ...rest } = recipe;
  const { modelHash } = filesResultOf(lab);
  const shown = {
    ...(files?.maxTokens === undefined ? {} : { maxTokens: files.maxTokens }),
    model: modelName(recipe),
    modelHash,
    preferences: preferencesName(recipe),
  };
  return {
    deviations: [...ofFiles(lab), ...ofAll, ...ofProxySizes(recipe)],
    protocol: labelledByUser(protocol),
    labels: 'D_initial has the labels of the file',
    golden:
      'The golden model agrees with the labels of ' +
      `${share(golden.result.validationAccuracy)} of held-out pairs (there is no noise-free truth ` +
      'to hold it against)',
    settings: {
      model: `${shown.model} (SHA-256 ${modelHash.slice(0, 12)})`,
      preferences: shown.preferences,
    },
    recipe: { ...rest, files: shown },
  };
};

export const premisesOf = (lab: Lab): Premises =>
  lab.recipe.files ? filesPremises(lab) : worldPremises(lab);
