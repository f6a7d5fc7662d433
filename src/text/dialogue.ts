// Rows to plain text: dialogues go through the template, in such a way that the text of the prompt
// is how the text of prompt and response starts.
import type { JsonValue } from '../checkpoint/json.js';
import { AlignlabError } from '../errors.js';
import type { ChatTemplate } from './chat-template.js';
import type { Message, Text } from './example.js';

/**
 * When a template does not render a prompt as the start of the dialogue (it rewrites earlier turns,
 * or opens a turn in another way than it writes one). last-turn: the response is the text of its
 * one message and what the template writes after it.
 */
export type TemplateFallback = 'error' | 'last-turn';

export interface Rendered {
  readonly prompt: string;
  /** Each continues the prompt. */
  readonly responses: readonly string[];
  /** Went through the template, which writes its own special tokens. */
  readonly dialogue: boolean;
}

interface RendererOptions {
  readonly template: ChatTemplate | null;
  readonly fallback: TemplateFallback;
  readonly variables: Readonly<Record<string, JsonValue>>;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
}

/** What was said, without roles and templates: what a judge reads of a response. */
export const spoken = (text: Text): string =>
  typeof text === 'string' ? text : text.map(({ content }) => content).join('\n\n');

const turns = (text: Text, role: string): readonly Message[] =>
  typeof text === 'string' ? [{ role, content: text }] : text;

/** The places around the first difference of two texts, for messages. */
const difference = (a: string, b: string): string => {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  const near = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 15), at + 25));
  return `${near(a)} against ${near(b)} at character ${at}`;
};

export class Renderer {
  readonly #options: RendererOptions;
  /** How often the fallback was used. */
  fallbacks = 0;

  constructor(options: RendererOptions) {
    this.#options = options;
  }

  /** A text or dialogue as a whole, which nothing precedes. */
  whole(text: Text, origin: string): Rendered {
    if (typeof text === 'string') return { prompt: '', responses: [text], dialogue: false };
    const rendered = this.#render(text, false, origin);
    return { prompt: '', responses: [rendered], dialogue: true };
  }

  row(prompt: Text, responses: readonly Text[], origin: string): Rendered {
    if (typeof prompt === 'string' && responses.every((text) => typeof text === 'string')) {
      return { prompt, responses, dialogue: false };
    }
    const asked = turns(prompt, 'user');
    const start = this.#render(asked, true, origin);
    const continued = responses.map((response) =>
      this.#continue(asked, start, turns(response, 'assistant'), origin),
    );
    return { prompt: start, responses: continued, dialogue: true };
  }

  #continue(
    asked: readonly Message[],
    start: string,
    answer: readonly Message[],
    origin: string,
  ): string {
    // An answer without text is an empty response, though the template would write around it.
    if (answer.every(({ content }) => content === '')) return '';
    const whole = this.#render([...asked, ...answer], false, origin);
    if (whole.startsWith(start)) return whole.slice(start.length);
    const content = answer.length === 1 ? (answer[0]?.content ?? '') : '';
    const at = content === '' ? -1 : whole.lastIndexOf(content);
    if (this.#options.fallback === 'last-turn' && at >= 0) {
      this.fallbacks += 1;
      return whole.slice(at);
    }
    throw new AlignlabError(
      'TEMPLATE_INVALID',
      `${origin}: ${this.#options.template?.where ?? 'the chat template'} does not render the ` +
        `prompt as the start of the dialogue (${difference(start, whole)}). Give a template that ` +
        'does, set the variables that it reads (templateVariables), or, for answers of one ' +
        "message, set templateFallback: 'last-turn'.",
    );
  }

  #render(messages: readonly Message[], generationPrompt: boolean, origin: string): string {
    const { template, bosToken, eosToken, variables } = this.#options;
    if (!template) {
      throw new AlignlabError(
        'TEMPLATE_INVALID',
        `${origin} is a dialogue, and there is no chat template to turn it into text. Give one ` +
          '(a .jinja file, or a checkpoint that brings one), or rows of plain text.',
      );
    }
    try {
      return template.render(messages, { generationPrompt, bosToken, eosToken, variables });
    } catch (cause) {
      if (!(cause instanceof AlignlabError)) throw cause;
      throw new AlignlabError(cause.code, `${origin}: ${cause.message}`, { cause });
    }
  }
}
