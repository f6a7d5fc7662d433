// The chat world: go on in character.
import { type Chooser, type Choices, slipChoice, withSlip } from '../behaviour.js';
import { type Clause, type Grammar, joinClauses } from '../grammar.js';
import type { Difficulty, Task } from '../task.js';
import {
  type Cast,
  type Scene,
  castOf,
  drawScene,
  promptWords,
  readScene,
  tempers,
  voices,
  writeScene,
} from './characters.js';
import { chatTerms, likingOf, rateChat } from './rating.js';

const choices: Choices = {
  call: ['none', 'call'],
  next: ['feeling', 'opinion', 'memory', 'thing', 'comfort', 'near', 'evasion', 'stop'],
  voice: ['own', 'other'],
  topic: ['guest', 'loved', 'any'],
  stance: ['fitting', 'unfitting'],
  temper: ['own', 'other'],
  address: ['none', 'address'],
  joiner: ['sentence', 'and', ', and', ', but'],
  question: ['none', 'back', 'back2'],
  slip: slipChoice,
};

/** Writes clauses for one scene. */
class Speaker {
  readonly #scene: Scene;
  readonly #grammar: Grammar;
  readonly #chooser: Chooser;
  readonly #tempers: readonly string[];
  readonly #voices: readonly string[];

  constructor(scene: Scene, cast: Cast, chooser: Chooser) {
    this.#scene = scene;
    this.#grammar = cast.grammar;
    this.#chooser = chooser;
    this.#tempers = cast.tempers;
    this.#voices = cast.voices;
  }

  /** A word of the character's voice, or of another's. */
  ofVoice(what: 'calls' | 'belongings' | 'addresses'): string {
    const { voice } = this.#scene;
    const picked = this.#chooser.pick('voice', { own: [1.4, 0.6], other: [0, -0.6] });
    const whose = picked === 'other' ? this.#chooser.other(this.#voices, voice) : voice;
    return this.#chooser.any(voices[whose]![what]);
  }

  #topic(): string {
    const { topic, loved } = this.#scene;
    const picked = this.#chooser.pick('topic', {
      guest: [1.4, 0.5],
      loved: [0, 0],
      any: [0, -0.6],
    });
    if (picked === 'any') return this.#chooser.any(this.#grammar.phrases('topic'));
    return picked === 'loved' ? loved : topic;
  }

  /** Whether the clause speaks well of the topic. */
  #likes(topic: string): boolean {
    const liking = likingOf(this.#scene, topic);
    const fits = this.#chooser.pick('stance', { fitting: [0.5, 0.6], unfitting: [0, -0.6] });
    if (liking === 0) return this.#chooser.any([true, false]);
    return liking > 0 === (fits !== 'unfitting');
  }

  #quality(likes: boolean): string {
    const { temper } = this.#scene;
    const picked = this.#chooser.pick('temper', { own: [1, 0.5], other: [0, -0.5] });
    const whose = picked === 'other' ? this.#chooser.other(this.#tempers, temper) : temper;
    return this.#chooser.any(tempers[whose]![likes ? 'liked' : 'disliked']);
  }

  clause(
    kind: 'feeling' | 'opinion' | 'memory' | 'thing' | 'comfort' | 'near' | 'evasion',
  ): string {
    const write = (slots: Clause['slots']): string => this.#grammar.write({ kind, slots });
    if (kind === 'comfort' || kind === 'evasion') return write({});
    if (kind === 'near') return write({ belonging: this.ofVoice('belongings') });
    const topic = this.#topic();
    if (kind === 'memory') {
      const seen = this.#chooser.any(this.#grammar.phrases('seen'));
      return write({ seen, topic, belonging: this.ofVoice('belongings') });
    }
    const likes = this.#likes(topic);
    if (kind === 'opinion') return write({ topic, quality: this.#quality(likes) });
    if (kind === 'feeling') return write({ feeling: likes ? 'love' : 'hate', topic });
    return write({
      belonging: this.ofVoice('belongings'),
      feels: likes ? 'loves' : 'hates',
      topic,
    });
  }

  /** One to three clauses. */
  clauses(): string[] {
    const told: string[] = [];
    const { line } = this.#scene;
    const comfort = line === 'fear' ? 0.5 : -0.6;
    while (told.length < 3) {
      const next = this.#chooser.pick('next', {
        feeling: [0.3, told.length === 0 ? 0.4 : 0],
        opinion: [0.3, told.length === 0 ? 0.4 : 0.1],
        memory: [0, line === 'tell' || line === 'saw' ? 0.3 : 0],
        thing: [-0.7, 0],
        comfort: [-0.7, comfort],
        near: [-1, comfort],
        evasion: [-0.7, -0.9],
        ...(told.length > 0 ? { stop: [0.8, told.length > 1 ? 0.7 : 0.2] as const } : {}),
      });
      if (next === null || next === 'stop') break;
      told.push(this.clause(next));
    }
    // A support that only stops still has to say something.
    return told.length > 0 ? told : [this.clause('feeling')];
  }
}

const compose = (scene: Scene, cast: Cast, chooser: Chooser): string => {
  const speaker = new Speaker(scene, cast, chooser);
  const calls = chooser.pick('call', { none: [0, 0], call: [0.3, 0.3] }) === 'call';
  const opening = calls ? [speaker.ofVoice('calls'), ','] : [];
  const told = speaker.clauses();
  if (chooser.pick('address', { none: [1, 0], address: [0, 0.2] }) === 'address') {
    told.push(`${told.pop()!}, ${speaker.ofVoice('addresses')}`);
  }
  const joiner = (): string | null => {
    const picked = chooser.pick('joiner', {
      sentence: [0.5, 0],
      and: [0.3, 0],
      ', and': [0, 0],
      ', but': [-0.3, 0],
    });
    return picked === 'sentence' ? null : picked;
  };
  const sentences = [joinClauses(opening, told, joiner)];
  const question = chooser.pick('question', { none: [1, 0], back: [0, 0.25], back2: [0, 0.25] });
  if (question === 'back') sentences.push('Do you like them?');
  if (question === 'back2') sentences.push('What do you think?');
  return withSlip(chooser, sentences.join(' '));
};

export const chatTask = (difficulty: Difficulty): Task<Scene> => {
  const cast = castOf(difficulty);
  return {
    name: 'chat',
    help: 'Answer a guest as a character would.',
    grammar: cast.grammar,
    lineStarts: ['Guest', ...cast.names],
    promptWords: promptWords(cast),
    choices,
    draw: (stream) => drawScene(cast, stream),
    write: writeScene,
    read: (prompt) => readScene(cast, prompt),
    compose: (scene, chooser) => compose(scene, cast, chooser),
    rate: rateChat,
    terms: chatTerms,
  };
};
