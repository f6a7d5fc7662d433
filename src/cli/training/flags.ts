// The flags of a training command: one for every key, and those that other tools write.
import { Command, Option } from 'commander';
import type { ObjectiveEntry } from '../../objectives/objective.js';
import { describeOption } from '../../objectives/options.js';
import type { TrainingCommand } from '../config/commands.js';
import { type SettingName, settingNames } from '../config/keys.js';
import { type Layer, invalid, kebab, snake } from '../config/layers.js';
import { optionKey } from '../config/objective.js';
import { choicesOf, defaultsOf, infoOf, missingScopes } from '../config/resolve.js';

const placeholders = { number: '<n>', text: '<text>', any: '<yaml>', boolean: '[yes]' } as const;

const shown = (value: unknown): string | undefined => {
  if (value === null || value === undefined) return undefined;
  if (typeof value === 'number' && value > 0 && value < 1e-3) return value.toExponential();
  return typeof value === 'string' ? value : JSON.stringify(value);
};

/** `default` is said in the help only: a flag counts as given when it was typed. */
const option = (flag: string, help: string, group: string, value: unknown): Option => {
  const text = shown(value);
  return new Option(flag, text === undefined ? help : `${help} (default: ${text})`).helpGroup(
    `${group}:`,
  );
};

const settingOption = (name: SettingName, command: TrainingCommand): Option => {
  const { kind, help, group } = infoOf(name);
  const flag = `--${kebab(name)} ${placeholders[kind]}`;
  const choices = name === 'format' ? undefined : choicesOf(name);
  const text = choices ? `${help}; one of ${choices.join(', ')}` : help;
  return option(flag, text, group, defaultsOf(command)[name]);
};

const objectiveOptions = ({ options, title }: ObjectiveEntry): Option[] =>
  Object.entries(options).map(([name, spec]) => {
    const kind = spec.type === 'string' ? 'text' : spec.type;
    const flag = `--${kebab(optionKey(name, spec))} ${placeholders[kind]}`;
    return option(flag, `${spec.help}; ${describeOption(spec)}`, title, spec.default);
  });

/** Options that mean something to the command itself. */
const ownOptions = (): Option[] =>
  [
    new Option('--config <file>', 'YAML with these keys in snake_case; flags win over it'),
    new Option(
      '--dry-run',
      'show configuration, first examples, lengths and memory; write nothing',
    ),
    new Option('--print-config', 'show the resolved configuration as YAML and end'),
  ].map((each) => each.helpGroup('Options:'));

const own = new Set(['config', 'dry_run', 'print_config']);

/** What is left over is read here as well, so that --learning_rate and TRL's other flags work. */
const leftover = (words: readonly string[]): Record<string, unknown> => {
  const values: Record<string, unknown> = {};
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    if (!word.startsWith('--')) {
      throw invalid(`"${word}" stands alone. Settings are flags: --dataset-name ${word}.`);
    }
    const [name = '', ...rest] = word.slice(2).split('=');
    const next = words[i + 1];
    if (rest.length > 0) values[snake(name)] = rest.join('=');
    else if (next === undefined || next.startsWith('--')) values[snake(name)] = true;
    else {
      values[snake(name)] = next;
      i += 1;
    }
  }
  return values;
};

export interface TrainingFlags {
  readonly config?: string;
  readonly dryRun: boolean;
  readonly printConfig: boolean;
  readonly layer: Layer;
}

/** What was typed, as a layer of the configuration. */
export const readFlags = (command: Command): TrainingFlags => {
  const given: Record<string, unknown> = {};
  for (const each of command.options) {
    const name = each.attributeName();
    if (command.getOptionValueSource(name) !== 'cli') continue;
    given[snake(name)] = command.getOptionValue(name);
  }
  const other = leftover(command.args);
  for (const [key, value] of Object.entries(other)) {
    if (Object.hasOwn(given, key) && given[key] !== value) {
      throw invalid(`--${kebab(key)} is given twice, with different values. Keep one.`);
    }
    given[key] = value;
  }
  const values = Object.fromEntries(Object.entries(given).filter(([key]) => !own.has(key)));
  return {
    ...(typeof given.config === 'string' ? { config: given.config } : {}),
    dryRun: given.dry_run === true,
    printConfig: given.print_config === true,
    layer: { from: 'flags', values },
  };
};

const sourceHelp = {
  dataset: 'Trains on a dataset.',
  'on-policy': 'Trains on samples of the policy itself, which --judge scores.',
  hybrid: 'Trains on a dataset and on samples of the policy.',
} as const;

/** A command with all its flags, without an action. */
export const describeCommand = (command: TrainingCommand): Command => {
  const described = new Command(command.name)
    .summary(command.title)
    .description(
      `${command.title} (${command.entry.paper}).\n${sourceHelp[command.source]} ` +
        'A TRL configuration works as it is where its keys have a meaning here.',
    )
    .usage('--model FOLDER --dataset FILE --output FOLDER [options]')
    .allowUnknownOption()
    .allowExcessArguments()
    .helpGroup('Training:');
  for (const each of ownOptions()) described.addOption(each);
  for (const each of objectiveOptions(command.entry)) described.addOption(each);
  const taken = new Set(described.options.map((each) => each.attributeName()));
  // What has nothing to act on is not shown; typed all the same, it is refused by name.
  const missing = missingScopes({ command, objective: command.entry.make() });
  for (const name of settingNames) {
    const each = settingOption(name, command);
    const isShown = missing[infoOf(name).scope] === undefined;
    if (isShown && !taken.has(each.attributeName())) described.addOption(each);
  }
  return described;
};
