// What a study does with its list of experiments: chooses, plans, concludes, and says what failed.
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import type { AnyExperiment, Findings } from './experiment.js';
import { failing } from './signature.js';

/** What every lab has. */
interface AnyLab {
  readonly recipe: { readonly scale: string; readonly seeds: readonly number[] };
}

type List<Lab> = readonly AnyExperiment<Lab>[];

export const idsOf = (experiments: List<never>): string[] => experiments.map(({ id }) => id);

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

/** Those of the recipe; of these the ones that `only` names. Throws OPTION_INVALID. */
export const choose = <Lab extends AnyLab>(
  experiments: List<Lab>,
  lab: Lab,
  only: readonly string[] | null,
): List<Lab> => {
  const included = experiments.filter((experiment) => experiment.includes(lab));
  if (only === null) return included;
  const all = experiments.map(({ id }) => id);
  if (only.length === 0) refuse(`only names no experiment; there are ${all.join(', ')}.`);
  const unknown = only.find((id) => !all.includes(id));
  if (unknown !== undefined) {
    refuse(
      `There is no experiment "${unknown}".${didYouMean(unknown, all)} There are ${all.join(', ')}.`,
    );
  }
  const ids = included.map(({ id }) => id);
  const missing = only.find((id) => !ids.includes(id));
  if (missing !== undefined) {
    refuse(
      `The scale ${lab.recipe.scale} has no ${missing}; it has ${ids.join(', ')}. ` +
        'Take another scale.',
    );
  }
  return included.filter(({ id }) => only.includes(id));
};

/**
 * Has a lab on a StagePlan ask for the stages of all seeds. Experiments see empty results; what
 * fails on them is left out of the plan.
 */
export const plan = async <Lab extends AnyLab>(experiments: List<Lab>, lab: Lab): Promise<void> => {
  for (const { run } of experiments) {
    for (const seed of lab.recipe.seeds) await run(lab, seed).catch(() => undefined);
  }
};

/** By the experiment's id, in the order of the list. */
export const conclude = async <Lab extends AnyLab>(
  experiments: List<Lab>,
  lab: Lab,
): Promise<Map<string, Findings>> => {
  const findings = new Map<string, Findings>();
  for (const experiment of experiments) {
    findings.set(experiment.id, await experiment.conclude(lab, lab.recipe.seeds));
  }
  return findings;
};

export const signaturesOf = (findings: ReadonlyMap<string, Findings>) =>
  [...findings.values()].flatMap(({ signatures }) => signatures);

/** Of the asserted signatures those that do not hold; in a part of a study, of its own ones. */
export const failedAssertions = (
  asserts: readonly string[],
  findings: ReadonlyMap<string, Findings>,
  partial: boolean,
): string[] => {
  const found = signaturesOf(findings);
  const own = asserts.filter((id) => !partial || found.some((signature) => signature.id === id));
  return failing(found, own);
};
