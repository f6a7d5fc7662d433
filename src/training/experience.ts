// What has to be known of a batch before the first step on it: reference log-probabilities, the
// critic's values, and from them the objective's advantages.
import { AlignlabError } from '../errors.js';
import type { Row } from '../objectives/objective.js';
import type { Example } from '../text/example.js';
import { type Learner, passesOf, valuesOf } from './learner.js';
import { checkExample, scoredTokens } from './passes.js';
import { type Experience, type Known, rowOf } from './rows.js';

const requireReference = ({ reference, objective }: Learner) => {
  if (reference) return reference;
  throw new AlignlabError('INTERNAL', `${objective.name} has been started without a reference.`);
};

/** From the source where it has them, the rest from the reference. */
const referencesOf = async (
  learner: Learner,
  examples: readonly Example[],
): Promise<readonly (readonly Float32Array[])[]> => {
  const { maxTokens, signal } = learner;
  const given = (example: Example): boolean =>
    example.responses.every((response, r) => {
      if (!response.reference) return false;
      if (response.reference.length === scoredTokens(example, r)) return true;
      throw new AlignlabError(
        'DATA_INVALID',
        `The example ${example.origin} has ${response.reference.length} reference ` +
          `log-probabilities for ${scoredTokens(example, r)} tokens. Were its tokens cut since?`,
      );
    });
  const missing = examples.filter((example) => !given(example));
  const scored =
    missing.length === 0
      ? []
      : await requireReference(learner).logProbs(missing, {
          maxTokens,
          ...(signal ? { signal } : {}),
        });
  const found = new Map(missing.map((example, i) => [example, scored[i]!]));
  return examples.map(
    (example) => found.get(example) ?? example.responses.map(({ reference }) => reference!),
  );
};

const oldValuesOf = async (
  learner: Learner,
  examples: readonly Example[],
): Promise<Float32Array[][]> => {
  const results: Float32Array[][] = examples.map(() => []);
  for (const pass of passesOf(learner, examples)) {
    const values = await valuesOf(learner, pass);
    let at = 0;
    for (const { example, responses } of pass.places) {
      results[example] = responses.map((_, r) => {
        const length = scoredTokens(examples[example]!, r);
        return values.slice(at, (at += length));
      });
    }
  }
  return results;
};

/** Rows of what is known before the first step; their log-probabilities are zeros, to give lengths. */
export const rowsBefore = (experiences: readonly Experience[]): Row[] =>
  experiences.map((experience) => {
    const { example } = experience;
    const responses = example.responses.map((_, r) => ({
      logProbs: new Float32Array(scoredTokens(example, r)),
    }));
    return rowOf(experience, { responses });
  });

const prepared = (learner: Learner, experiences: readonly Experience[]): Experience[] => {
  const rows = rowsBefore(experiences);
  const result = learner.objective.prepare?.(rows) ?? rows;
  return experiences.map(({ example, known }, i) => ({
    example,
    known: known.map((sequence, r) => {
      const { advantages, returns, reward } = result[i]!.sequences[r]!;
      return {
        ...sequence,
        ...(reward === undefined ? {} : { reward }),
        ...(advantages ? { advantages } : {}),
        ...(returns ? { returns } : {}),
      };
    }),
  }));
};

const checkKinds = ({ objective }: Learner, examples: readonly Example[]): void => {
  for (const example of examples) {
    checkExample(example);
    if (objective.rows.includes(example.kind)) continue;
    throw new AlignlabError(
      'DATA_INVALID',
      `${objective.name} trains on ${objective.rows.join(' or ')} examples, and ` +
        `${example.origin} is a ${example.kind}. Take another source, or another objective.`,
    );
  }
};

export const gatherExperience = async (
  learner: Learner,
  examples: readonly Example[],
): Promise<Experience[]> => {
  const { needs } = learner.objective;
  checkKinds(learner, examples);
  const references = needs.reference ? await referencesOf(learner, examples) : null;
  const oldValues = needs.values ? await oldValuesOf(learner, examples) : null;
  const experiences = examples.map((example, i) => ({
    example,
    known: example.responses.map(({ behaviour, reward }, r): Known => ({
      ...(behaviour ? { behaviour } : {}),
      ...(reward === undefined ? {} : { reward }),
      ...(references ? { reference: references[i]![r]! } : {}),
      ...(oldValues ? { oldValues: oldValues[i]![r]! } : {}),
    })),
  }));
  return learner.objective.prepare ? prepared(learner, experiences) : experiences;
};
