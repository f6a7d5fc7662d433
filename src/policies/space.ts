// The responses that an enumerable policy can give: a graph of states whose edges are tokens. A
// response is a path from state 0 to an end, so that sums over responses are sums over edges even
// where there are too many responses to list.
import { AlignlabError } from '../errors.js';

/** The context of examples that have no prompt: one token that stands before every response. */
export const noPrompt: Int32Array = Int32Array.of(0);

/** The state after a token that ends the response. */
export const ended = -1;

type Tokens = ArrayLike<number>;

interface Edge {
  readonly token: number;
  readonly next: number;
}

/** A whole response and the edges that it goes along. */
export interface ResponsePath {
  readonly tokens: Int32Array;
  readonly edges: Int32Array;
}

const refuse = (message: string): never => {
  throw new AlignlabError('OPTION_INVALID', message);
};

const keyOf = (tokens: Tokens): string => Array.from(tokens).join();

const checkToken = (token: number): void => {
  if (Number.isInteger(token) && token >= 0 && token < 2 ** 31) return;
  refuse(`A response has the token ${String(token)}, which is not a token id (a whole number).`);
};

/** States of a prefix tree, each before its children. */
const treeOf = (responses: readonly Tokens[]): Edge[][] => {
  const states: Edge[][] = [[]];
  const prefix = (response: Tokens): never =>
    refuse(
      `The response ${keyOf(response)} is another one's beginning, or is given twice. ` +
        'Let every response end with a token of its own, such as an end-of-text token.',
    );
  for (const response of responses) {
    if (response.length === 0) refuse('A response is empty. Each needs at least one token.');
    let state = 0;
    for (let t = 0; t < response.length; t += 1) {
      const token = response[t]!;
      checkToken(token);
      const last = t + 1 === response.length;
      const known = states[state]!.find((edge) => edge.token === token);
      if (known && (last || known.next === ended)) prefix(response);
      const next = known?.next ?? (last ? ended : states.push([]) - 1);
      if (!known) states[state]!.push({ token, next });
      state = next;
    }
  }
  return states;
};

/** State t offers the tokens of place t, whatever came before. */
const chainOf = (places: readonly Tokens[]): Edge[][] =>
  places.map((tokens, t) => {
    if (tokens.length === 0) refuse(`Place ${t} of the responses offers no token.`);
    if (new Set(Array.from(tokens)).size < tokens.length) refuse(`Place ${t} has a token twice.`);
    const next = t + 1 === places.length ? ended : t + 1;
    return Array.from(tokens, (token) => {
      checkToken(token);
      return { token, next };
    });
  });

export class ResponseSpace {
  readonly prompts: readonly Int32Array[];
  /** Edges of state s are firstEdge[s] to firstEdge[s + 1]; states stand before what follows them. */
  readonly firstEdge: Int32Array;
  readonly tokens: Int32Array;
  /** The state after each edge, or `ended`. */
  readonly next: Int32Array;
  /** Tokens of the longest response. */
  readonly longest: number;
  /** How many responses there are to each prompt; may be beyond what can be listed. */
  readonly size: number;
  readonly #edgeOf: readonly ReadonlyMap<number, number>[];
  readonly #prompts: ReadonlyMap<string, number>;

  private constructor(states: readonly (readonly Edge[])[], prompts: readonly Tokens[]) {
    if (states.length === 0 || states[0]!.length === 0) refuse('There are no responses.');
    this.firstEdge = new Int32Array(states.length + 1);
    states.forEach((edges, s) => (this.firstEdge[s + 1] = this.firstEdge[s]! + edges.length));
    const all = states.flat();
    this.tokens = Int32Array.from(all, ({ token }) => token);
    this.next = Int32Array.from(all, ({ next }) => next);
    this.#edgeOf = states.map(
      (edges, s) => new Map(edges.map(({ token }, i) => [token, this.firstEdge[s]! + i])),
    );
    const last = this.#backwards((ahead) => Math.max(...ahead.map((tokens) => tokens + 1)));
    const count = this.#backwards((ahead) => ahead.reduce((sum, n) => sum + n, 0), 1);
    [this.longest, this.size] = [last, count];
    this.prompts = prompts.map((prompt) => Int32Array.from(prompt));
    this.#prompts = new Map(prompts.map((prompt, p) => [keyOf(prompt), p]));
    if (prompts.some(({ length }) => length === 0)) refuse('A prompt needs at least one token.');
    if (this.#prompts.size < prompts.length) refuse('A prompt is given twice.');
    if (prompts.length === 0) refuse('There are no prompts. Leave them out for a single context.');
  }

  /** These responses, to each prompt; without prompts there is one context, `noPrompt`. */
  static of(responses: readonly Tokens[], prompts: readonly Tokens[] = [noPrompt]): ResponseSpace {
    return new ResponseSpace(treeOf(responses), prompts);
  }

  /** All sequences of one token of each place: responses whose tokens are independent. */
  static product(
    places: readonly Tokens[],
    prompts: readonly Tokens[] = [noPrompt],
  ): ResponseSpace {
    return new ResponseSpace(chainOf(places), prompts);
  }

  get states(): number {
    return this.firstEdge.length - 1;
  }

  get edges(): number {
    return this.tokens.length;
  }

  /** Throws DATA_INVALID for a prompt that the space has not. */
  promptIndex(prompt: Tokens): number {
    const found = this.#prompts.get(keyOf(prompt));
    if (found !== undefined) return found;
    throw new AlignlabError(
      'DATA_INVALID',
      `The policy knows ${this.prompts.length} prompts, and [${keyOf(prompt)}] is not among them. ` +
        'Give it to the ResponseSpace.',
    );
  }

  /** The edge of a token; DATA_INVALID where no response goes on so. */
  edge(state: number, token: number): number {
    const found = state === ended ? undefined : this.#edgeOf[state]!.get(token);
    if (found !== undefined) return found;
    throw new AlignlabError(
      'DATA_INVALID',
      state === ended
        ? `The token ${token} comes after the end of a response.`
        : `No response of the policy goes on with the token ${token} there.`,
    );
  }

  /** The edges of a response, or of its beginning. */
  path(tokens: Tokens): Int32Array {
    const edges = new Int32Array(tokens.length);
    let state = 0;
    for (let t = 0; t < tokens.length; t += 1) {
      edges[t] = this.edge(state, tokens[t]!);
      state = this.next[edges[t]!]!;
    }
    return edges;
  }

  /** All responses; OPTION_INVALID where there are more than `limit`. */
  responses(limit = 100_000): ResponsePath[] {
    if (this.size > limit) {
      refuse(`There are ${this.size} responses, more than the ${limit} that may be listed.`);
    }
    const found: ResponsePath[] = [];
    const walk = (state: number, edges: readonly number[]): void => {
      for (let edge = this.firstEdge[state]!; edge < this.firstEdge[state + 1]!; edge += 1) {
        const path = [...edges, edge];
        if (this.next[edge] !== ended) walk(this.next[edge]!, path);
        else {
          const tokens = Int32Array.from(path, (each) => this.tokens[each]!);
          found.push({ tokens, edges: Int32Array.from(path) });
        }
      }
    };
    walk(0, []);
    return found;
  }

  /** Folds from the ends to state 0; `atEnd` is the value of an end. */
  #backwards(fold: (ahead: readonly number[]) => number, atEnd = 0): number {
    const values = new Float64Array(this.firstEdge.length - 1);
    for (let s = values.length - 1; s >= 0; s -= 1) {
      const next = this.next.subarray(this.firstEdge[s], this.firstEdge[s + 1]);
      values[s] = fold(Array.from(next, (state) => (state === ended ? atEnd : values[state]!)));
    }
    return values[0]!;
  }
}
