// The experiments of the coverage study, in the order of the report.
import { AlignlabError } from '../../../errors.js';
import { didYouMean } from '../../../suggest.js';
import { type AnyExperiment, anyExperiment } from '../../experiment.js';
import type { Lab } from '../lab.js';
import { textExperiments } from '../text/experiments/index.js';
import { displacement } from './displacement.js';
import { estimators } from './estimators.js';
import { extrapolation } from './extrapolation.js';
import { threeResponses } from './three-responses.js';

const experiments: readonly AnyExperiment<Lab>[] = [
  anyExperiment(threeResponses),
  anyExperiment(extrapolation),
  anyExperiment(displacement),
  anyExperiment(estimators),
  ...textExperiments,
];

export const experimentIds: readonly string[] = experiments.map(({ id }) => id);

/** Those of the recipe, or of the given ids; OPTION_INVALID for one that is not there. */
export const chooseExperiments = (
  lab: Lab,
  only: readonly string[] | null,
): readonly AnyExperiment<Lab>[] => {
  const unknown = only?.find((id) => !experimentIds.includes(id));
  if (unknown !== undefined) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There is no experiment "${unknown}".${didYouMean(unknown, experimentIds)} ` +
        `There are ${experimentIds.join(', ')}.`,
    );
  }
  const chosen = experiments.filter(({ id }) => only === null || only.includes(id));
  const missing = only && chosen.find((experiment) => !experiment.includes(lab));
  if (missing) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `The scale ${lab.recipe.scale} has no experiment "${missing.id}". Take another scale.`,
    );
  }
  return chosen.filter((experiment) => experiment.includes(lab));
};
