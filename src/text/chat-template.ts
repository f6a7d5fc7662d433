// Dialogues to text, by the Jinja template that a checkpoint brings or that is given.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { type JsonValue, isObject, readJsonFile, show } from '../checkpoint/json.js';
import { AlignlabError, fromSystem } from '../errors.js';
import type { Message } from './example.js';

export interface RenderOptions {
  /** End with what opens the assistant's turn. Default false. */
  readonly generationPrompt?: boolean;
  /** As the template writes them; absent where the tokenizer names none. */
  readonly bosToken?: string | undefined;
  readonly eosToken?: string | undefined;
  /** Other names that the template reads: `enable_thinking`, `date_string`, `tools`. */
  readonly variables?: Readonly<Record<string, JsonValue>>;
}

export class ChatTemplate {
  readonly #template: Template;
  /** Where it came from, for messages. */
  readonly where: string;
  /** SHA-256 of its text, hexadecimal. */
  readonly hash: string;

  /** @param text Jinja, as in transformers. Throws TEMPLATE_INVALID when it does not parse. */
  constructor(text: string, where = 'the chat template') {
    this.where = where;
    this.hash = createHash('sha256').update(text).digest('hex');
    // Templates that ask for today's date find no clock, and take the date that they fall back to:
    // what a dataset becomes must not depend on the day.
    const timeless = text.replace(/\bstrftime_now\b/g, 'clock_of_no_day');
    try {
      this.#template = new Template(timeless);
    } catch (cause) {
      throw invalid(`${where} is not a Jinja template`, cause, 'Correct it, or give another one.');
    }
  }

  /** Reads a template file. */
  static async read(path: string): Promise<ChatTemplate> {
    try {
      return new ChatTemplate(await readFile(path, 'utf8'), path);
    } catch (cause) {
      throw fromSystem(cause, `read the chat template ${path}`);
    }
  }

  /**
   * The template of a checkpoint: chat_template.jinja, or `chat_template` of tokenizer_config.json,
   * which is a text or a list of named ones. Null where there is none.
   * @param name of a list's entry; default 'default'
   */
  static async load(folder: string, name = 'default'): Promise<ChatTemplate | null> {
    const path = join(folder, 'chat_template.jinja');
    const file = await readFile(path, 'utf8').catch((cause: unknown) => {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null;
      throw fromSystem(cause, `read ${path}`);
    });
    if (file !== null && name === 'default') return new ChatTemplate(file, path);
    const configPath = join(folder, 'tokenizer_config.json');
    const config = await readJsonFile(configPath, 'TEMPLATE_INVALID');
    const where = `chat_template of ${configPath}`;
    const found = pick(config?.value.chat_template, name, where);
    return found === null ? null : new ChatTemplate(found, where);
  }

  /** Throws TEMPLATE_INVALID when the template refuses the dialogue or fails. */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    const { generationPrompt = false, bosToken, eosToken, variables = {} } = options;
    try {
      return this.#template.render({
        ...variables,
        messages,
        add_generation_prompt: generationPrompt,
        // Absent tokens are left undefined, which renders as nothing.
        ...(bosToken === undefined ? {} : { bos_token: bosToken }),
        ...(eosToken === undefined ? {} : { eos_token: eosToken }),
      });
    } catch (cause) {
      const roles = messages.map(({ role }) => role).join(', ');
      throw invalid(
        `${this.where} failed on a dialogue with the roles ${roles || '(none)'}`,
        cause,
        'Bring the dialogue into the form that the template takes, set the variables that it ' +
          'reads (templateVariables), or give another template.',
      );
    }
  }
}

const invalid = (what: string, cause: unknown, wayOut: string): AlignlabError => {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AlignlabError('TEMPLATE_INVALID', `${what}: ${reason}. ${wayOut}`, { cause });
};

const pick = (given: unknown, name: string, where: string): string | null => {
  if (given === undefined || given === null) return null;
  if (typeof given === 'string' && name === 'default') return given;
  const list: readonly unknown[] = Array.isArray(given) ? given : [];
  const entry = list.find((item) => isObject(item) && item.name === name);
  if (isObject(entry) && typeof entry.template === 'string') return entry.template;
  const names = list.flatMap((item) => (isObject(item) ? [show(item.name)] : []));
  throw new AlignlabError(
    'TEMPLATE_INVALID',
    typeof given === 'string' || names.length > 0
      ? `${where} has no template named ${show(name)}` +
          `${names.length > 0 ? `, only ${names.join(', ')}` : ', only one without a name'}. ` +
          'Name one of these, or give a template as a file.'
      : `${where} must be a text or a list of {name, template}, found ${show(given)}. ` +
          'Give a template as a file.',
  );
};
