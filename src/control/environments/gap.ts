// Gaps in dynamics, checked and made whole.
import { AlignlabError } from '../../errors.js';
import { didYouMean } from '../../suggest.js';
import type { DynamicsGap, EnvId } from './environment.js';

export type GapName = keyof DynamicsGap;
export type FullGap = Required<DynamicsGap>;

export const nominal: FullGap = {
  gravity: 1,
  friction: 1,
  mass: 1,
  jointNoise: 0,
  delay: 0,
  processNoise: 1,
};

/** Actions that a delayed environment keeps at most. */
export const maxDelay = 20;

const contactGaps: readonly GapName[] = ['gravity', 'friction', 'jointNoise', 'delay'];
const analyticGaps: readonly GapName[] = [...contactGaps, 'mass', 'processNoise'];

/** The gaps that an environment can have. */
export const gapsOf = (id: EnvId): readonly GapName[] =>
  id === 'Pendulum' || id === 'WheelLegged' ? analyticGaps : contactGaps;

/** Missing ones nominal. @throws OPTION_INVALID for one that this environment does not have */
export const fullGap = (id: EnvId, gap: DynamicsGap): FullGap => {
  const known = gapsOf(id);
  for (const [name, value] of Object.entries(gap) as [string, unknown][]) {
    if (value === undefined) continue;
    if (!known.some((one) => one === name)) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `${id} has no gap "${name}".${didYouMean(name, known)} It has ${known.join(', ')}.`,
      );
    }
    const whole = name !== 'delay' || (Number.isInteger(value) && Number(value) <= maxDelay);
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0 && whole) continue;
    const range = name === 'delay' ? `whole and from 0 to ${maxDelay}` : 'finite and at least 0';
    throw new AlignlabError(
      'OPTION_INVALID',
      `The gap "${name}" of ${id} must be ${range}, got ${JSON.stringify(value)}.`,
    );
  }
  if (gap.mass === 0) {
    throw new AlignlabError('OPTION_INVALID', `The gap "mass" of ${id} must be more than 0.`);
  }
  const given = Object.entries(gap).filter(([, value]) => value !== undefined);
  return { ...nominal, ...Object.fromEntries(given) };
};
