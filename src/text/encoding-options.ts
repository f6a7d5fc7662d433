// Options of the encoding, with their defaults; each of them is recorded in manifests.
import { type JsonValue, show } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import { type OptionNames, refuseUnknown } from '../options.js';
import { ChatTemplate } from './chat-template.js';
import type { TemplateFallback } from './dialogue.js';
import type { BoundaryPolicy } from './segmentation.js';
import type { Truncation } from './truncation.js';

/**
 * tokenizer: what tokenizer.json adds to a plain text by itself; dialogues get what their template
 * writes. always: one at the start of every prompt. never: none but what text or template spell.
 */
export type BosPolicy = 'tokenizer' | 'always' | 'never';

/**
 * append: after plain responses that do not end with one; dialogues end as their template says.
 * Cut responses never have one.
 */
export type EosPolicy = 'append' | 'never';

export interface EncodingOptions {
  /** Default 'tokenizer'. ORPO, CPO and SimPO of TRL encode as under 'always'. */
  readonly bos?: BosPolicy;
  /** Default 'append'. */
  readonly eos?: EosPolicy;
  /** Texts of the tokens; default: as tokenizer_config.json says. */
  readonly bosToken?: string;
  readonly eosToken?: string;
  /** Tokens of a prompt with one response; absent or null: no limit. */
  readonly maxLength?: number | null;
  readonly maxPromptLength?: number | null;
  readonly maxCompletionLength?: number | null;
  /** Default 'keep_start'. */
  readonly truncation?: Truncation;
  /** Default 'split'. */
  readonly boundary?: BoundaryPolicy;
  /** Responses without text. Default 'drop'; 'keep' trains on the end-of-text token alone. */
  readonly emptyCompletion?: 'drop' | 'error' | 'keep';
  readonly chatTemplate?: ChatTemplate | null;
  /** When a template's prompt is not how its dialogue starts. Default 'error'. */
  readonly templateFallback?: TemplateFallback;
  /** Other names that the template reads: `enable_thinking`, `date_string`. */
  readonly templateVariables?: Readonly<Record<string, JsonValue>>;
}

export interface ResolvedEncoding {
  readonly bos: BosPolicy;
  readonly eos: EosPolicy;
  readonly maxLength?: number;
  readonly maxPromptLength?: number;
  readonly maxCompletionLength?: number;
  readonly truncation: Truncation;
  readonly boundary: BoundaryPolicy;
  readonly emptyCompletion: 'drop' | 'error' | 'keep';
  readonly chatTemplate: ChatTemplate | null;
  readonly templateFallback: TemplateFallback;
  readonly templateVariables: Readonly<Record<string, JsonValue>>;
}

const choices = {
  bos: ['tokenizer', 'always', 'never'],
  eos: ['append', 'never'],
  truncation: ['keep_start', 'keep_end', 'drop', 'error'],
  boundary: ['split', 'suffix', 'error'],
  emptyCompletion: ['drop', 'error', 'keep'],
  templateFallback: ['error', 'last-turn'],
} as const;

/** The least that leaves room for a prompt of one token and a response of one. */
const limits = { maxLength: 2, maxPromptLength: 1, maxCompletionLength: 1 } as const;

const known: OptionNames<EncodingOptions> = {
  bos: true,
  bosToken: true,
  eos: true,
  eosToken: true,
  truncation: true,
  boundary: true,
  emptyCompletion: true,
  maxLength: true,
  maxPromptLength: true,
  maxCompletionLength: true,
  chatTemplate: true,
  templateFallback: true,
  templateVariables: true,
};

type Chosen = { -readonly [Key in keyof typeof choices]: (typeof choices)[Key][number] };

const bad = (name: string, value: unknown, expected: string): AlignlabError =>
  new AlignlabError('OPTION_INVALID', `${name} must be ${expected}, got ${show(value)}.`);

export const resolveEncoding = (options: EncodingOptions): ResolvedEncoding => {
  refuseUnknown('The encoding', options, known);
  const chosen = Object.fromEntries(
    Object.entries(choices).map(([name, allowed]) => {
      const value = options[name as keyof Chosen] ?? allowed[0];
      if ((allowed as readonly string[]).includes(value)) return [name, value];
      throw bad(name, value, `one of ${allowed.join(', ')}`);
    }),
  ) as Chosen;
  const lengths = Object.fromEntries(
    Object.entries(limits).flatMap(([name, least]) => {
      const value = options[name as keyof typeof limits];
      if (value === undefined || value === null) return [];
      if (Number.isSafeInteger(value) && value >= least) return [[name, value]];
      throw bad(name, value, `a whole number from ${least} up, or null`);
    }),
  );
  const { chatTemplate = null, templateVariables = {} } = options;
  if (chatTemplate !== null && !(chatTemplate instanceof ChatTemplate)) {
    throw bad('chatTemplate', chatTemplate, 'a ChatTemplate, such as ChatTemplate.read(path)');
  }
  return { ...chosen, ...lengths, chatTemplate, templateVariables };
};
