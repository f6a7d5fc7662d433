// Options of objectives: defaults, types, ranges, and errors that say what to do.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { objectiveEntry, objectives } from '../../src/objectives/index.js';
import { describeOption, resolveOptions } from '../../src/objectives/options.js';
import { nearestName } from '../../src/suggest.js';

const specs = {
  beta: { type: 'number', default: 0.1, min: 0, exclusive: true, help: 'scale' },
  smoothing: { type: 'number', default: 0, min: 0, max: 0.5, help: 'share' },
  reduction: { type: 'string', default: 'sum', choices: ['sum', 'mean'], help: 'kind' },
  free: { type: 'boolean', default: false, help: 'whether' },
  coefficient: { type: 'number', default: null, help: 'perhaps' },
} as const;

const refused = (given: Record<string, unknown>): string => {
  try {
    resolveOptions('example', specs, given);
  } catch (cause) {
    if (cause instanceof AlignlabError && cause.code === 'OPTION_INVALID') return cause.message;
    throw cause;
  }
  throw new Error('was not refused');
};

test('defaults fill in what is not given', (t) => {
  const values = resolveOptions('example', specs, { smoothing: 0.5, beta: undefined });
  t.deepEqual(values, {
    beta: 0.1,
    smoothing: 0.5,
    reduction: 'sum',
    free: false,
    coefficient: null,
  });
  t.is(resolveOptions('example', specs, { coefficient: 2 }).coefficient, 2);
});

test('a value that does not fit is refused by name, with what was found and what would do', (t) => {
  t.is(refused({ beta: 0 }), 'The option "beta" of example is 0. It must be a number above 0.');
  t.regex(refused({ beta: Number.NaN }), /"beta" of example is NaN/);
  t.regex(refused({ beta: Infinity }), /is Infinity/);
  t.regex(refused({ beta: '0.1' }), /is '0.1'\. It must be a number/);
  t.regex(refused({ beta: null }), /is null\. It must be a number above 0/);
  t.regex(refused({ smoothing: 0.51 }), /at least 0 and at most 0\.5/);
  t.regex(refused({ reduction: 'average' }), /is 'average'\. It must be one of sum, mean\./);
  t.regex(refused({ free: 1 }), /true or false/);
  t.regex(refused({ coefficient: 'x' }), /a number, or null/);
});

test('a key that is not known is refused, with the nearest one', (t) => {
  t.regex(refused({ bta: 1 }), /^example has no option "bta"\. Did you mean "beta"\? Its options/);
  t.regex(refused({ zzzzzz: 1 }), /^example has no option "zzzzzz"\. Its options are: beta, /);
  // Names of Object.prototype are no options.
  t.regex(refused({ toString: 1 }), /no option "toString"/);
  t.regex(refused({ constructor: 1 }), /no option "constructor"/);
  const none = t.throws(() => resolveOptions('example', {}, { beta: 1 }));
  t.regex(none.message, /It takes none\./);
});

test('every default is itself allowed, and every objective refuses an unknown option', (t) => {
  for (const entry of objectives) {
    const { name, options } = entry;
    const defaults = Object.fromEntries(
      Object.entries(options).map(([option, spec]) => [option, spec.default]),
    );
    t.notThrows(() => entry.make(defaults), name);
    const error = t.throws(() => entry.make({ unheardOf: 1 }));
    t.true(error instanceof AlignlabError && error.code === 'OPTION_INVALID');
    for (const [option, spec] of Object.entries(options)) {
      t.true(describeOption(spec).length > 0);
      const wrong = spec.type === 'number' ? 'x' : 7;
      t.throws(() => entry.make({ [option]: wrong }), { message: new RegExp(`"${option}"`) }, name);
      for (const bound of [spec.min, spec.max]) {
        if (bound === undefined) continue;
        const outside = bound === spec.min ? bound - 1 : bound + 1;
        t.throws(() => entry.make({ [option]: outside }), { message: /must be a number/ }, name);
      }
    }
  }
});

test('combinations that say nothing, or contradict, are refused', (t) => {
  const refuse = (name: string, given: Record<string, unknown>, pattern: RegExp): void => {
    const error = t.throws(() => objectiveEntry(name).make(given), { message: pattern });
    t.true(error instanceof AlignlabError && error.code === 'OPTION_INVALID');
  };
  refuse('dpo', { fAlphaDivergenceCoef: 0.5 }, /It is for alpha_divergence/);
  refuse('robust', { labelSmoothing: 0.5 }, /below 0\.5/);
  refuse('exo', { labelSmoothing: 0 }, /above 0 and below 0\.5/);
  refuse('cpo', { lossType: 'hinge', labelSmoothing: 0.1 }, /must be 0 with hinge/);
  const alpha = objectiveEntry('dpo').make({ fDivergenceType: 'alpha_divergence' });
  t.is(alpha.options.fAlphaDivergenceCoef, 0.5);
});

test('an unknown objective is refused with the nearest name', (t) => {
  const error = t.throws(() => objectiveEntry('dop'));
  t.true(error instanceof AlignlabError && error.code === 'OPTION_INVALID');
  t.regex(error.message, /There is no objective "dop"\. Did you mean "dpo"\? Known: sft, /);
});

test('the nearest name is near, whatever the case of its words', (t) => {
  const names = ['labelSmoothing', 'beta', 'cpoAlpha'];
  t.is(nearestName('label_smoothing', names), 'labelSmoothing');
  t.is(nearestName('label-smothing', names), 'labelSmoothing');
  t.is(nearestName('btea', names), 'beta');
  t.is(nearestName('gamma', names), undefined);
  t.is(nearestName('', names), undefined);
});
