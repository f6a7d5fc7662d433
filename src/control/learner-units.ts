// The units in which a learner reads what it is given: observations and rewards, scaled before networks
// see them. Scales change how soon an optimiser finds what is optimal, and not what that is; so does a
// shift of rewards where no episode ends by what is done.
import type { TransitionColumns } from './data/transitions.js';
import type { LearnerOptions } from './learner-options.js';

type Transitions = Omit<TransitionColumns, 'truncated'>;

/** Between the caller's units and the learner's; what is in both alike is passed on uncopied. */
export interface LearnerUnits {
  /** Observations [rows, obsDim]. */
  observations(given: Float32Array): Float32Array;
  read(given: Transitions): Transitions;
  /** The other way, to single precision. */
  tell(read: Transitions): Transitions;
}

const as = <Value>(value: Value): Value => value;
const plain: LearnerUnits = { observations: as, read: as, tell: as };

export const unitsOf = ({ observationScale, reward }: LearnerOptions): LearnerUnits => {
  if (!observationScale && !reward) return plain;
  const { shift = 0, scale = 1 } = reward ?? {};
  const size = observationScale?.length ?? 1;
  const times = observationScale ?? [1];
  const observations = (given: Float32Array): Float32Array =>
    given.map((value, i) => value * times[i % size]!);
  const back = (read: Float32Array): Float32Array =>
    read.map((value, i) => value / times[i % size]!);
  return {
    observations,
    read: (given) => ({
      ...given,
      obs: observations(given.obs),
      next: observations(given.next),
      rew: given.rew.map((value) => scale * (value - shift)),
    }),
    tell: (read) => ({
      ...read,
      obs: back(read.obs),
      next: back(read.next),
      rew: read.rew.map((value) => value / scale + shift),
    }),
  };
};
