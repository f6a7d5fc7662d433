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
    let [errors, sentences] = [0, 0];
    // What the sentence has at this place: nothing yet, an open start (opener, joiner), a clause.
    let state: 'start' | 'open' | 'closed' = 'start';
    let question = false;
    for (let at = 0; at < lexemes.length;) {
      const match = this.#longest(lexemes, at);
      const lexeme = lexemes[at]!;
      if (match) {
        const { clause, words } = match;
        const role = this.#definition.roles[clause.kind] ?? 'fact';
        errors += Number((state === 'closed') !== (role === 'tail'));
        errors += Number(role === 'opener' && state === 'open');
        errors += wrongCases(lexemes.slice(at, at + words.length), words, state === 'start');
        clauses.push(clause);
        question = role === 'question' || (role === 'tail' && question);
        state = role === 'opener' ? 'open' : 'closed';
        at += words.length;
        continue;
      }
      const joiner = this.#joiners.find(({ words }) => startsWith(lexemes, at, words));
      if (joiner) {
        errors += Number(state !== 'closed');
        joiners.push(joiner.text);
        state = 'open';
        at += joiner.words.length;
      } else if (/^[.!?]$/.test(lexeme)) {
        errors += Number(state !== 'closed') + Number(question !== (lexeme === '?'));
        sentences += 1;
        [state, question] = ['start', false];
        at += 1;
      } else {
        errors += 1;
        if (state === 'start') state = 'open';
        at += 1;
      }
    }
    errors += Number(state !== 'start' || lexemes.length === 0);
    return { clauses, joiners, errors, words: lexemes.filter(isWord).length, sentences };
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
