// Environments by name.
import { AlignlabError } from '../../errors.js';
import { type OptionNames, refuseUnknown, requireWhole } from '../../options.js';
import { didYouMean } from '../../suggest.js';
import { type Env, type EnvId, type EnvOptions, type EnvSpec, envIds } from './environment.js';
import { locomotionSpec, makeLocomotion } from './locomotion.js';
import { makePendulum, pendulumSpec } from './pendulum.js';
import { makeWheelLegged, wheelLeggedSpec } from './wheel-legged.js';

const optionNames: OptionNames<EnvOptions> = {
  gap: true,
  seed: true,
  maxEpisodeSteps: true,
  task: true,
  actionRepeat: true,
};

const checked = (id: EnvId, options: EnvOptions): void => {
  if (!envIds.includes(id)) {
    throw new AlignlabError(
      'OPTION_INVALID',
      `There is no environment "${id}".${didYouMean(id, envIds)} There are ${envIds.join(', ')}.`,
    );
  }
  refuseUnknown('makeEnv', options, optionNames);
  if (options.maxEpisodeSteps !== undefined) {
    requireWhole('maxEpisodeSteps', options.maxEpisodeSteps);
  }
  if (options.actionRepeat !== undefined) requireWhole('actionRepeat', options.actionRepeat);
  if (options.actionRepeat !== undefined && id !== 'WheelLegged') {
    throw new AlignlabError(
      'OPTION_INVALID',
      `${id} has its own control step, so the option actionRepeat does nothing; leave it out. ` +
        'WheelLegged has it.',
    );
  }
  if (options.task !== undefined && id !== 'WheelLegged') {
    throw new AlignlabError(
      'OPTION_INVALID',
      `${id} has one task, so the option task does nothing; leave it out. WheelLegged has two.`,
    );
  }
};

/**
 * Makes an environment; the first MuJoCo one of a thread loads the physics (about 0.2 s).
 * @throws ADDON_NOT_FOUND where @mujoco/mujoco is not installed; OPTION_INVALID
 */
export const makeEnv = async (id: EnvId, options: EnvOptions = {}): Promise<Env> => {
  checked(id, options);
  if (id === 'Pendulum') return makePendulum(options);
  if (id === 'WheelLegged') return makeWheelLegged(options);
  return makeLocomotion(id, options);
};

/** The spec of such an environment, without its physics. */
export const describeEnv = async (id: EnvId, options: EnvOptions = {}): Promise<EnvSpec> => {
  checked(id, options);
  if (id === 'Pendulum') return pendulumSpec(options.maxEpisodeSteps);
  if (id === 'WheelLegged') return wheelLeggedSpec(options);
  return locomotionSpec(id, options.maxEpisodeSteps);
};
