// Small grammars of English: clauses are templates with slots. The same grammar writes text and
// reads it back, so that whatever a policy writes can be rated: words that fit no clause are errors.
import { AlignlabError } from '../errors.js';

/** fact: a statement or a request. question: ends with '?'. opener: before a clause. tail: after one. */
export type ClauseRole = 'fact' | 'question' | 'opener' | 'tail';

export interface GrammarDefinition {
  /** Slot → the phrases that can fill it, written as in the middle of a sentence. */
  readonly lexicon: Readonly<Record<string, readonly string[]>>;
  /** Kind of clause → template: words, {slot} and [optional part]. */
  readonly clauses: Readonly<Record<string, string>>;
  /** Kinds that are no facts. */
  readonly roles: Readonly<Record<string, ClauseRole>>;
  /** What joins two clauses of a sentence. */
  readonly joiners: readonly string[];
}

export type Slots = Readonly<Record<string, string>>;

export interface Clause {
  readonly kind: string;
  readonly slots: Slots;
}

export interface Parsed {
  /** In the order of the text. */
  readonly clauses: readonly Clause[];
  readonly joiners: readonly string[];
  /** Words that fit no clause, places where a joiner, a clause or a stop is missing, wrong case. */
  readonly errors: number;
  readonly words: number;
  readonly sentences: number;
}

interface Phrase {
  readonly text: string;
  /** As in the middle of a sentence; matching ignores case. */
  readonly words: readonly string[];
}

type Element = { readonly slot: string } | { readonly word: string };

interface Template {
  readonly kind: string;
  readonly elements: readonly Element[];
}

interface Match {
  readonly clause: Clause;
  readonly words: readonly string[];
}

/** Words, of letters and apostrophes, and marks one by one; spaces fall away. */
export const lex = (text: string): string[] => text.match(/[A-Za-z']+|[^\sA-Za-z']/g) ?? [];

const isWord = (text: string): boolean => /^[A-Za-z']/.test(text);

export const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** With and without each optional part, the longer first. Optional parts do not nest. */
const expand = (template: string): string[] => {
  const found = /\[([^\]]*)\]/.exec(template);
  if (!found) return [template.replaceAll(/\s+/g, ' ').trim()];
  const replaced = (by: string): string[] => expand(template.replace(found[0], by));
  return [...replaced(found[1] ?? ''), ...replaced('')];
};

const elementsOf = (template: string): Element[] =>
  template.split(' ').flatMap((part): Element[] => {
    const slot = /^\{(\w+)\}$/.exec(part)?.[1];
    return slot === undefined ? lex(part).map((word) => ({ word })) : [{ slot }];
  });

const same = (left: string, right: string): boolean => left.toLowerCase() === right.toLowerCase();

const startsWith = (lexemes: readonly string[], at: number, words: readonly string[]): boolean =>
  words.every((word, i) => at + i < lexemes.length && same(word, lexemes[at + i]!));

const longestFirst = (phrases: readonly string[]): Phrase[] =>
  phrases
    .map((text) => ({ text, words: lex(text) }))
    .sort((a, b) => b.words.length - a.words.length);

/** Words and marks as text: no space before a mark. */
export const joinWords = (words: readonly string[]): string =>
  words.reduce((text, word) => text + (text === '' || !isWord(word) ? word : ` ${word}`), '');

/** Counts where a clause, a joiner or the mark at the end is missing or one too many. */
class SentenceOrder {
  /** What the sentence has so far: nothing, something that needs a clause after it, a clause. */
  #state: 'start' | 'open' | 'closed' = 'start';
  #question = false;
  errors = 0;
  sentences = 0;

  get atStart(): boolean {
    return this.#state === 'start';
  }

  clause(role: ClauseRole): void {
    this.errors += Number((this.#state === 'closed') !== (role === 'tail'));
    this.errors += Number(role === 'opener' && this.#state === 'open');
    this.#question = role === 'question' || (role === 'tail' && this.#question);
    this.#state = role === 'opener' ? 'open' : 'closed';
  }

  joiner(): void {
    this.errors += Number(this.#state !== 'closed');
    this.#state = 'open';
  }

  /** A mark or word that is part of no clause. */
  mark(lexeme: string): void {
    if (/^[.!?]$/.test(lexeme)) {
      this.errors += Number(this.#state !== 'closed');
      this.errors += Number(this.#question !== (lexeme === '?'));
      this.sentences += 1;
      [this.#state, this.#question] = ['start', false];
    } else {
      this.errors += 1;
      if (this.#state === 'start') this.#state = 'open';
    }
  }

  end(hasText: boolean): void {
    this.errors += Number(this.#state !== 'start' || !hasText);
  }
}

export class Grammar {
  readonly #definition: GrammarDefinition;
  readonly #templates: readonly Template[];
  readonly #phrases: ReadonlyMap<string, readonly Phrase[]>;
  readonly #joiners: readonly Phrase[];

  constructor(definition: GrammarDefinition) {
    this.#definition = definition;
    this.#templates = Object.entries(definition.clauses).flatMap(([kind, template]) =>
      expand(template).map((each) => ({ kind, elements: elementsOf(each) })),
    );
    this.#phrases = new Map(
      Object.entries(definition.lexicon).map(([slot, phrases]) => [slot, longestFirst(phrases)]),
    );
    this.#joiners = longestFirst(definition.joiners);
  }

  phrases(slot: string): readonly string[] {
    return this.#definition.lexicon[slot] ?? [];
  }

  /** A clause as it stands in the middle of a sentence. Its slots choose among optional parts. */
  write({ kind, slots }: Clause): string {
    const names = Object.keys(slots);
    const template = this.#templates.find(({ kind: each, elements }) => {
      const needed = elements.flatMap((element) => ('slot' in element ? [element.slot] : []));
      return (
        each === kind &&
        needed.length === names.length &&
        needed.every((slot) => names.includes(slot))
      );
    });
    if (!template) {
      throw new AlignlabError('INTERNAL', `No clause "${kind}" takes ${names.join(', ')}.`);
    }
    const words = template.elements.map((element) =>
      'slot' in element ? slots[element.slot]! : element.word,
    );
    return joinWords(words);
  }

  /** All word forms: in the middle of a sentence, and with a capital where they can begin one. */
  forms(): Set<string> {
    const forms = new Set<string>();
    const add = (words: readonly string[], first: boolean): void => {
      words.filter(isWord).forEach((word, i) => {
        forms.add(word);
        if (first && i === 0) forms.add(capitalized(word));
      });
    };
    for (const { elements } of this.#templates) {
      elements.forEach((element, i) => {
        if ('word' in element) add([element.word], i === 0);
        else for (const { words } of this.#phrases.get(element.slot) ?? []) add(words, i === 0);
      });
    }
    for (const { words } of this.#joiners) add(words, false);
    return forms;
  }

  /** Reads any text; what is no sentence of the grammar counts as errors. */
  parse(text: string): Parsed {
    const lexemes = lex(text);
    const clauses: Clause[] = [];
    const joiners: string[] = [];
    const order = new SentenceOrder();
    let errors = 0;
    for (let at = 0; at < lexemes.length;) {
      const match = this.#longest(lexemes, at);
      const joiner = match ? undefined : this.#joinerAt(lexemes, at);
      if (match) {
        const { clause, words } = match;
        const found = lexemes.slice(at, at + words.length);
        errors += wrongCases(found, words, order.atStart);
        order.clause(this.#definition.roles[clause.kind] ?? 'fact');
        clauses.push(clause);
        at += words.length;
      } else if (joiner) {
        order.joiner();
        joiners.push(joiner.text);
        at += joiner.words.length;
      } else {
        order.mark(lexemes[at]!);
        at += 1;
      }
    }
    order.end(lexemes.length > 0);
    const words = lexemes.filter(isWord).length;
    return { clauses, joiners, errors: errors + order.errors, words, sentences: order.sentences };
  }

  #joinerAt(lexemes: readonly string[], at: number): Phrase | undefined {
    return this.#joiners.find(({ words }) => startsWith(lexemes, at, words));
  }

  #longest(lexemes: readonly string[], at: number): Match | null {
    let best: Match | null = null;
    for (const template of this.#templates) {
      const match = this.#match(template, lexemes, at);
      if (match && match.words.length > (best?.words.length ?? 0)) best = match;
    }
    return best;
  }

  /** Slots take their longest phrase that fits: no phrase begins a longer one with what follows. */
  #match({ kind, elements }: Template, lexemes: readonly string[], at: number): Match | null {
    const slots: Record<string, string> = {};
    const words: string[] = [];
    for (const element of elements) {
      const place = at + words.length;
      if ('word' in element) {
        if (!startsWith(lexemes, place, [element.word])) return null;
        words.push(element.word);
        continue;
      }
      const phrases = this.#phrases.get(element.slot) ?? [];
      const phrase = phrases.find((each) => startsWith(lexemes, place, each.words));
      if (!phrase) return null;
      slots[element.slot] = phrase.text;
      words.push(...phrase.words);
    }
    return { clause: { kind, slots }, words };
  }
}

const wrongCases = (found: readonly string[], words: readonly string[], starts: boolean): number =>
  words.filter((word, i) => found[i] !== (starts && i === 0 ? capitalized(word) : word)).length;

/** Parts of a sentence, such as clauses and joiners, with a capital and a mark at the end. */
export const sentence = (parts: readonly string[], mark = '.'): string =>
  capitalized(joinWords([...parts.flatMap(lex), mark]));

/**
 * Sentences of the clauses.
 * @param opening what the first begins with
 * @param joiner asked between two clauses: what joins them, or null where a sentence ends
 */
export const joinClauses = (
  opening: readonly string[],
  clauses: readonly string[],
  joiner: () => string | null,
): string => {
  const sentences: string[] = [];
  let open = [...opening];
  clauses.forEach((clause, i) => {
    const joined = i === clauses.length - 1 ? null : joiner();
    open.push(clause, ...(joined === null ? [] : [joined]));
    if (joined !== null) return;
    sentences.push(sentence(open));
    open = [];
  });
  return sentences.join(' ');
};
