// The one training loop: a source gives examples, an objective turns log-probabilities into a loss
// and its derivatives, the engine carries those back, AdamW steps.
import { type PolicyModel, isPolicyModel } from '../engine/policy-model.js';
import { AlignlabError } from '../errors.js';
import { aborted } from './abortable.js';
import { Loop } from './loop.js';
import { type Settings, type TrainOptions, checkOptions } from './options.js';
import { type Reference, frozenReference } from './reference.js';
import type { TrainStep } from './run.js';

interface OwnedReference {
  readonly reference: Reference<PolicyModel> | null;
  /** What has to be disposed of. */
  readonly model: PolicyModel | null;
}

const openReference = async ({
  reference,
  policy,
  objective,
}: Settings): Promise<OwnedReference> => {
  if (!objective.needs.reference) return { reference: null, model: null };
  if (reference) {
    const given = isPolicyModel(reference) ? frozenReference(reference) : reference;
    return { reference: given, model: null };
  }
  const model = await policy.clone({ trainable: false });
  return { reference: frozenReference(model), model };
};

async function* run(settings: Settings): AsyncGenerator<TrainStep, void> {
  // The reference is a copy of the policy as it was passed: it is made before anything is restored.
  const { reference, model } = await openReference(settings);
  let loop: Loop | undefined;
  try {
    loop = new Loop(settings, reference);
    await loop.begin();
    while (!loop.finished) {
      const step = await loop.next();
      if (!step) break;
      yield step;
    }
    await loop.complete();
  } catch (cause) {
    // Sources and evaluations may answer the signal in their own words.
    if (!settings.signal?.aborted || cause instanceof AlignlabError) throw cause;
    throw aborted(cause);
  } finally {
    // Leaving the for await loop, an abort and an error come here as well.
    try {
      await loop?.end();
    } finally {
      await model?.dispose();
    }
  }
}

/**
 * Trains the policy in place; each value that is taken makes one optimiser step.
 *
 * Leaving the loop ends the run after the step it stands at; `signal` ends it within one. What the
 * caller passed in stays the caller's to dispose of. Throws OPTION_INVALID when it is called, and
 * while it runs DATA_INVALID, INVARIANT_BROKEN, NON_FINITE (no step was made), ABORTED, or what
 * the source throws; the policy is then as after the last step that was made.
 */
export const train = <Model extends PolicyModel>(
  options: TrainOptions<Model>,
): AsyncGenerator<TrainStep, void> => run(checkOptions(options));
