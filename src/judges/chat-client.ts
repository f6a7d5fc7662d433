// Calls of an OpenAI-compatible chat completions endpoint: limited in number, repeated where that
// may help, and counted, so that a run says what its judge cost and how often it failed.
import PQueue from 'p-queue';
import pRetry, { AbortError } from 'p-retry';
import * as z from 'zod';
import { AlignlabError } from '../errors.js';
import { type OptionNames, requireWhole } from '../options.js';
import type { AskOptions } from './checked.js';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatOptions {
  /** Such as 'https://api.openai.com/v1' or 'http://localhost:8000/v1'. */
  readonly url: string;
  readonly model: string;
  /** Default: what the environment variable `apiKeyVariable` holds. */
  readonly apiKey?: string;
  /** Default for api.openai.com: 'OPENAI_API_KEY'; other hosts get no key that is not named. */
  readonly apiKeyVariable?: string;
  /** Requests under way at once. Default 4. */
  readonly concurrency?: number;
  /** Of a request that was refused for now (429, 5xx), timed out or did not connect. Default 4. */
  readonly retries?: number;
  /** Of one attempt. Default 60000. */
  readonly timeoutMs?: number;
  /** Before the first retry; doubled for each further one. Default 1000. */
  readonly backoffMs?: number;
  /** Default 0. */
  readonly temperature?: number;
  /** Of an answer. Default 16. */
  readonly maxTokens?: number;
  /** Sent along, such as { seed: 1 } or { logit_bias: … }. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export const chatOptions: OptionNames<ChatOptions> = {
  url: true,
  model: true,
  apiKey: true,
  apiKeyVariable: true,
  concurrency: true,
  retries: true,
  timeoutMs: true,
  backoffMs: true,
  temperature: true,
  maxTokens: true,
  parameters: true,
};

/** Since the client was made. Tokens are as the endpoint counts them; 0 where it does not. */
export interface ChatUsage {
  /** Questions asked. */
  readonly requests: number;
  /** HTTP requests sent, retries included. */
  readonly attempts: number;
  /** Questions without an answer after all retries. */
  readonly failed: number;
  /** Answers that could not be read as a verdict. */
  readonly unparsed: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Of these, tokens of answers that could not be read: paid for in vain. */
  readonly wastedTokens: number;
}

const completion = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
  usage: z
    .object({ prompt_tokens: z.number().default(0), completion_tokens: z.number().default(0) })
    .nullish(),
});

/** Refused for now. */
const isPassing = (status: number): boolean =>
  status === 408 || status === 409 || status === 425 || status === 429 || status >= 500;

/** This question is refused, such as one that is too long; another one may not be. */
const isOfQuestion = (status: number): boolean =>
  status === 400 || status === 413 || status === 422;

const endpointOf = (url: string): URL => {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password) {
    throw new AlignlabError(
      'OPTION_INVALID',
      'The url of a judge must be http(s)://…/v1 without a password in it. Give the key as apiKey ' +
        'or in an environment variable.',
    );
  }
  parsed.pathname = `${parsed.pathname.replace(/\/$/, '')}/chat/completions`;
  return parsed;
};

const keyOf = ({ apiKey, apiKeyVariable }: ChatOptions, { host }: URL): string | undefined => {
  if (apiKey !== undefined) return apiKey;
  const variable = apiKeyVariable ?? (host === 'api.openai.com' ? 'OPENAI_API_KEY' : undefined);
  if (variable === undefined) return undefined;
  const key = process.env[variable];
  if (key) return key;
  throw new AlignlabError(
    'OPTION_INVALID',
    `The environment variable ${variable} with the API key of ${host} is not set. Set it, or pass ` +
      'apiKey.',
  );
};

const limits = { concurrency: 1, retries: 0, timeoutMs: 1, backoffMs: 0, maxTokens: 1 } as const;

const checkNumbers = (options: ChatOptions): void => {
  for (const [name, least] of Object.entries(limits)) {
    const value = options[name as keyof typeof limits];
    if (value !== undefined) requireWhole(name, value, least);
  }
};

export class ChatClient {
  readonly #options: ChatOptions;
  readonly #endpoint: URL;
  readonly #queue: PQueue;
  readonly #headers: Readonly<Record<string, string>>;
  /** Once refused for good, no further question is sent. */
  #refusal: AlignlabError | null = null;
  #usage = {
    requests: 0,
    attempts: 0,
    failed: 0,
    unparsed: 0,
    promptTokens: 0,
    completionTokens: 0,
    wastedTokens: 0,
  };

  /** Throws OPTION_INVALID. */
  constructor(options: ChatOptions) {
    checkNumbers(options);
    this.#options = options;
    this.#endpoint = endpointOf(options.url);
    this.#queue = new PQueue({ concurrency: options.concurrency ?? 4 });
    const key = keyOf(options, this.#endpoint);
    this.#headers = {
      'content-type': 'application/json',
      ...(key ? { authorization: `Bearer ${key}` } : {}),
    };
  }

  get usage(): ChatUsage {
    return { ...this.#usage };
  }

  /**
   * The parsed answer; null where the endpoint gave none after all retries, or none that `parse`
   * can read. Throws JUDGE_FAILED where it refuses for good (a wrong key, an unknown model).
   */
  async ask<Answer>(
    messages: readonly ChatMessage[],
    parse: (content: string) => Answer | null,
    { signal }: AskOptions = {},
  ): Promise<Answer | null> {
    this.#usage.requests += 1;
    const reply = await this.#queue.add(() => this.#retried(messages, signal));
    if (reply === null) {
      this.#usage.failed += 1;
      return null;
    }
    this.#usage.promptTokens += reply.promptTokens;
    this.#usage.completionTokens += reply.completionTokens;
    const answer = parse(reply.content);
    if (answer !== null) return answer;
    this.#usage.unparsed += 1;
    this.#usage.wastedTokens += reply.promptTokens + reply.completionTokens;
    return null;
  }

  async #retried(messages: readonly ChatMessage[], signal: AbortSignal | undefined) {
    const { retries = 4, backoffMs = 1000 } = this.#options;
    signal?.throwIfAborted();
    if (this.#refusal) throw this.#refusal;
    try {
      return await pRetry(() => this.#attempt(messages, signal), {
        retries,
        minTimeout: backoffMs,
        factor: 2,
        maxTimeout: 60_000,
        shouldRetry: ({ error }) => !(error instanceof AlignlabError),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof AlignlabError) throw error;
      return null;
    }
  }

  async #attempt(messages: readonly ChatMessage[], signal: AbortSignal | undefined) {
    const { model, temperature = 0, maxTokens = 16, timeoutMs = 60_000 } = this.#options;
    this.#usage.attempts += 1;
    const timeout = AbortSignal.timeout(timeoutMs);
    const response = await fetch(this.#endpoint, {
      method: 'POST',
      headers: this.#headers,
      body: JSON.stringify({
        model,
        messages,
        temperature,
        max_tokens: maxTokens,
        ...this.#options.parameters,
      }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    }).catch((cause: unknown) => {
      if (signal?.aborted) throw new AbortError('aborted');
      // p-retry gives up at a TypeError, as which fetch reports some failures to connect.
      throw new Error('the request failed', { cause });
    });
    if (!response.ok) await this.#refused(response);
    const parsed = completion.safeParse(await response.json().catch(() => null));
    if (!parsed.success) throw new Error('the answer is no chat completion');
    const { choices, usage } = parsed.data;
    return {
      content: choices[0]?.message.content ?? '',
      promptTokens: usage?.prompt_tokens ?? 0,
      completionTokens: usage?.completion_tokens ?? 0,
    };
  }

  async #refused(response: Response): Promise<never> {
    await response.body?.cancel();
    const status = `status ${response.status}`;
    if (isPassing(response.status)) throw new Error(status);
    if (isOfQuestion(response.status)) throw new AbortError(status);
    this.#refusal = new AlignlabError(
      'JUDGE_FAILED',
      `${this.#endpoint.origin}${this.#endpoint.pathname} refused the request with ${status}. ` +
        `Check the url, the model "${this.#options.model}" and the API key.`,
    );
    throw this.#refusal;
  }
}
