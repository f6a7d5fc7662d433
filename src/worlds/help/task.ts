// The help world: somebody asks what to do about a thing that is dirty or broken.
import { type Chooser, type Choices, slipChoice, withSlip } from '../behaviour.js';
import { type Grammar, joinClauses, sentence } from '../grammar.js';
import type { Difficulty, Task } from '../task.js';
import {
  type Request,
  drawRequest,
  hazards,
  householdGrammar,
  people,
  readRequest,
  tools,
  verbs,
  writeRequest,
} from './household.js';
import { helpTerms, rateHelp, usefulTools } from './rating.js';

const choices: Choices = {
  start: ['none', 'sure', 'of course', 'well'],
  first: ['none', 'first'],
  next: ['step', 'dry', 'wait', 'stop'],
  tool: ['useful', 'useless', 'harmful', 'repeated'],
  verb: ['fitting', 'any'],
  joiner: ['sentence', ', then', 'and', ', and'],
  extra: [
    'none',
    'right warning',
    'wrong warning',
    'courage',
    'friend',
    'consult',
    'buy',
    'unsure',
  ],
  relative: ['told', 'any'],
  end: ['none', 'good luck'],
  slip: slipChoice,
};

/** The words of a step, and what is known about it after it was told. */
class Advice {
  readonly #request: Request;
  readonly #chooser: Chooser;
  readonly #grammar: Grammar;
  readonly #used: string[] = [];

  constructor(request: Request, grammar: Grammar, chooser: Chooser) {
    this.#request = request;
    this.#grammar = grammar;
    this.#chooser = chooser;
  }

  get #wet(): boolean {
    return this.#used.some((tool) => tools[tool]!.wet === true);
  }

  /** Useful tools that have not been named. */
  get #left(): string[] {
    return usefulTools(this.#request).filter((tool) => !this.#used.includes(tool));
  }

  #step(): string {
    const harmful = hazards[this.#request.object]!;
    const [useful, used] = [usefulTools(this.#request), this.#used];
    const useless = Object.keys(tools).filter(
      (tool) => !useful.includes(tool) && !harmful.includes(tool),
    );
    const picked = this.#chooser.pick('tool', {
      ...(this.#left.length > 0 ? { useful: [0.5, 0.8] as const } : {}),
      useless: [0, -0.6],
      harmful: [-0.8, -0.9],
      ...(used.length > 0 ? { repeated: [-1.5, -0.8] as const } : {}),
    });
    const groups = { useful: this.#left, useless, harmful, repeated: used };
    const tool = this.#chooser.any(picked === null ? useless : groups[picked]);
    used.push(tool);
    const isFitting = this.#chooser.pick('verb', { fitting: [1.5, 0.4], any: [0, -0.4] });
    const verb = this.#chooser.any(isFitting === 'any' ? verbs : tools[tool]!.verbs);
    return this.#grammar.write({ kind: 'step', slots: { verb, tool } });
  }

  /** One to four steps. */
  steps(): string[] {
    const told = [this.#step()];
    while (told.length < 4) {
      const dried = told.at(-1) === 'let it dry';
      const next = this.#chooser.pick('next', {
        step: [0, this.#left.length > 0 && this.#used.length < 2 ? 0.4 : -0.5],
        ...(dried ? {} : { dry: [-0.7, this.#wet ? 0.6 : -0.6] as const }),
        wait: [-1.2, this.#request.mood === 'hurry' ? -0.8 : -0.3],
        stop: [0.2, dried || !this.#wet ? 0.4 : -0.2],
      });
      if (next === 'step') told.push(this.#step());
      else if (next === 'dry') told.push('let it dry');
      else if (next === 'wait') told.push('wait for an hour');
      else break;
    }
    return told;
  }

  /** A sentence beside the steps. */
  extra(): string | null {
    const { object, mood, owner } = this.#request;
    const picked = this.#chooser.pick('extra', {
      none: [1.5, mood === 'hurry' ? 0.4 : 0],
      'right warning': [-0.8, 0.5],
      'wrong warning': [-0.5, -0.5],
      courage: [0, mood === 'new' ? 0.6 : -0.3],
      friend: [0, mood === 'tired' ? 0.6 : -0.3],
      consult: [0, owner === null ? -0.6 : 0.4],
      buy: [-0.5, -0.7],
      unsure: [-0.5, -0.9],
    });
    const warn = (tool: string): string =>
      this.#grammar.write({ kind: 'warning', slots: { tool } });
    switch (picked) {
      case 'right warning':
        return warn(this.#chooser.any(hazards[object]!));
      case 'wrong warning':
        return warn(this.#chooser.any(Object.keys(tools)));
      case 'courage':
        return 'you can do it';
      case 'friend':
        return 'ask a friend to help';
      case 'buy':
        return 'buy a new one';
      case 'unsure':
        return 'I am not sure';
      case 'consult': {
        const relative = this.#chooser.pick('relative', { told: [1, 0.5], any: [0, -0.5] });
        const asked = relative === 'told' && owner !== null ? owner : this.#chooser.any(people);
        return this.#grammar.write({ kind: 'consult', slots: { relative: asked } });
      }
      default:
        return null;
    }
  }
}

const compose = (request: Request, grammar: Grammar, chooser: Chooser): string => {
  const advice = new Advice(request, grammar, chooser);
  const start = chooser.pick('start', {
    none: [0.8, 0],
    sure: [0, 0.3],
    'of course': [0, 0.3],
    well: [0, -0.4],
  });
  const opening = start === null || start === 'none' ? [] : [start, ','];
  const isFirst = chooser.pick('first', { none: [1, 0], first: [0, 0.1] }) === 'first';
  if (opening.length === 0 && isFirst) opening.push('first', ',');
  const joiner = (): string | null => {
    const picked = chooser.pick('joiner', {
      sentence: [0.3, 0],
      ', then': [0.5, 0],
      and: [0.2, 0],
      ', and': [0, 0],
    });
    return picked === 'sentence' ? null : picked;
  };
  const sentences = [joinClauses(opening, advice.steps(), joiner)];
  const extra = advice.extra();
  if (extra !== null) sentences.push(sentence([extra]));
  const end = chooser.pick('end', { none: [1, 0], 'good luck': [0, 0.25] });
  if (end === 'good luck') sentences.push('Good luck!');
  return withSlip(chooser, sentences.join(' '));
};

export const helpTask = (difficulty: Difficulty): Task<Request> => {
  const grammar = householdGrammar(difficulty);
  return {
    name: 'help',
    help: 'Say what to do about a thing that is dirty or broken.',
    grammar,
    lineStarts: ['User', 'Helper'],
    promptWords: [],
    choices,
    draw: (stream) => drawRequest(difficulty, grammar, stream),
    write: (request) => writeRequest(grammar, request),
    read: (prompt) => readRequest(grammar, prompt),
    compose: (request, chooser) => compose(request, grammar, chooser),
    rate: rateHelp,
    terms: helpTerms,
  };
};
