// Characters with a voice, a temper, something they love and something they hate: words, grammar and
// prompts of the chat world.
import type { RandomStream } from '../../data/random.js';
import { Grammar } from '../grammar.js';
import type { Difficulty } from '../task.js';

interface Voice {
  readonly calls: readonly string[];
  readonly belongings: readonly string[];
  readonly addresses: readonly string[];
}

export const voices: Readonly<Record<string, Voice>> = {
  pirate: { calls: ['arr', 'ahoy'], belongings: ['my ship', 'my parrot'], addresses: ['matey'] },
  wizard: {
    calls: ['behold', 'aha'],
    belongings: ['my wand', 'my tower'],
    addresses: ['young one'],
  },
  robot: {
    calls: ['beep', 'hello'],
    belongings: ['my battery', 'my wheel'],
    addresses: ['human'],
  },
  knight: {
    calls: ['hail', 'verily'],
    belongings: ['my sword', 'my horse'],
    addresses: ['noble friend'],
  },
  farmer: {
    calls: ['howdy', 'well now'],
    belongings: ['my barn', 'my cow'],
    addresses: ['neighbour'],
  },
  queen: {
    calls: ['indeed', 'my dear'],
    belongings: ['my crown', 'my palace'],
    addresses: ['subject'],
  },
};

/** Temper → words for what is liked, words for what is not. */
export const tempers: Readonly<
  Record<string, { readonly liked: readonly string[]; readonly disliked: readonly string[] }>
> = {
  cheerful: { liked: ['wonderful', 'lovely'], disliked: ['silly', 'funny'] },
  gloomy: { liked: ['bearable', 'fine'], disliked: ['dreadful', 'bleak'] },
  proud: { liked: ['glorious', 'mighty'], disliked: ['beneath me', 'weak'] },
  shy: { liked: ['gentle', 'soft'], disliked: ['loud', 'scary'] },
};

const names = ['Finn', 'Greta', 'Rolf', 'Vera', 'Otis', 'Selma', 'Jasper', 'Wilma'];

const topics = ['storms', 'cats', 'songs', 'coins', 'stars', 'apples'];
const moreTopics = ['maps', 'ghosts', 'dragons', 'bells', 'rivers', 'candles'];

export type Line = 'ask' | 'tell' | 'saw' | 'fear' | 'love';

const lines: Readonly<Record<Line, { readonly text: string; readonly mark: string }>> = {
  ask: { text: 'do you like TOPIC', mark: '?' },
  tell: { text: 'tell me about TOPIC', mark: '.' },
  saw: { text: 'I saw TOPIC today', mark: '.' },
  fear: { text: 'I am afraid of TOPIC', mark: '.' },
  love: { text: 'I love TOPIC', mark: '.' },
};

const sizes = {
  1: { voices: 3, tempers: 2, names: 8, topics: 6, lines: 3 },
  2: { voices: 5, tempers: 3, names: 8, topics: 8, lines: 4 },
  3: { voices: 6, tempers: 4, names: 8, topics: 12, lines: 5 },
} as const;

export interface Scene {
  readonly name: string;
  readonly voice: string;
  readonly temper: string;
  readonly loved: string;
  readonly hated: string;
  readonly topic: string;
  readonly line: Line;
}

export interface Cast {
  readonly grammar: Grammar;
  readonly voices: readonly string[];
  readonly tempers: readonly string[];
  readonly names: readonly string[];
  readonly topics: readonly string[];
  readonly lines: readonly Line[];
}

export const castOf = (difficulty: Difficulty): Cast => {
  const size = sizes[difficulty];
  const roles = Object.keys(voices).slice(0, size.voices);
  const kinds = Object.keys(tempers).slice(0, size.tempers);
  const all = <Item>(pick: (voice: Voice) => readonly Item[]): Item[] =>
    roles.flatMap((role) => pick(voices[role]!));
  const chosen = [...topics, ...moreTopics].slice(0, size.topics);
  const grammar = new Grammar({
    lexicon: {
      topic: chosen,
      call: all(({ calls }) => calls),
      belonging: all(({ belongings }) => belongings),
      address: all(({ addresses }) => addresses),
      quality: kinds.flatMap((kind) => [...tempers[kind]!.liked, ...tempers[kind]!.disliked]),
      feeling: ['love', 'hate'],
      feels: ['loves', 'hates'],
      seen: ['saw', 'heard', 'dreamt of'],
    },
    clauses: {
      call: '{call} ,',
      opinion: '{topic} are {quality}',
      feeling: 'I {feeling} {topic}',
      memory: 'I once {seen} {topic} from {belonging}',
      thing: '{belonging} {feels} {topic}',
      comfort: 'do not fear them',
      near: 'stay close to {belonging}',
      evasion: 'I cannot talk about that',
      back: 'do you like them',
      back2: 'what do you think',
      address: ', {address}',
    },
    roles: { call: 'opener', address: 'tail', back: 'question', back2: 'question' },
    joiners: ['and', ', and', ', but'],
  });
  const spoken = Object.keys(lines) as Line[];
  return {
    grammar,
    voices: roles,
    tempers: kinds,
    names: names.slice(0, size.names),
    topics: chosen,
    lines: spoken.slice(0, size.lines),
  };
};

const from = <Item>(items: readonly Item[], stream: RandomStream): Item =>
  items[stream.below(items.length)]!;

export const drawScene = (cast: Cast, stream: RandomStream): Scene => {
  const loved = from(cast.topics, stream);
  const rest = cast.topics.filter((topic) => topic !== loved);
  const hated = from(rest, stream);
  const place = stream.uniform();
  const neither = rest.filter((topic) => topic !== hated);
  let topic = from(neither, stream);
  if (place < 0.4) topic = loved;
  else if (place < 0.7) topic = hated;
  return {
    name: from(cast.names, stream),
    voice: from(cast.voices, stream),
    temper: from(cast.tempers, stream),
    loved,
    hated,
    topic,
    line: from(cast.lines, stream),
  };
};

const spokenLine = ({ line, topic }: Scene): string => {
  const { text, mark } = lines[line];
  const said = text.replace('TOPIC', topic);
  return `${said.slice(0, 1).toUpperCase()}${said.slice(1)}${mark}`;
};

export const writeScene = (scene: Scene): string => {
  const { name, voice, temper, loved, hated } = scene;
  const person = `${name} is a ${temper} ${voice} who loves ${loved} and hates ${hated}.`;
  return `${person}\nGuest: ${spokenLine(scene)}\n${name}:`;
};

const form = new RegExp(
  '^(?<name>\\w+) is a (?<temper>\\w+) (?<voice>\\w+) who loves (?<loved>\\w+) and hates ' +
    '(?<hated>\\w+)\\.\\nGuest: (?<said>.*)\\n\\w+:$',
);

export const readScene = (cast: Cast, prompt: string): Scene | null => {
  const found = form.exec(prompt)?.groups as
    (Omit<Scene, 'topic' | 'line'> & { said: string }) | undefined;
  if (!found) return null;
  const { said, ...person } = found;
  const topic = cast.topics.find((each) => said.split(/[^a-z]/).includes(each));
  const allowed =
    cast.voices.includes(person.voice) &&
    cast.tempers.includes(person.temper) &&
    cast.names.includes(person.name) &&
    [person.loved, person.hated].every((each) => cast.topics.includes(each));
  if (topic === undefined || !allowed) return null;
  const scenes = cast.lines.map((line): Scene => ({ ...person, topic, line }));
  return scenes.find((scene) => writeScene(scene) === prompt) ?? null;
};

/** Word forms of prompts: all that can stand there, the names at the start of a line apart. */
export const promptWords = (cast: Cast): string[] => {
  const spoken = cast.lines.flatMap((line) =>
    cast.topics.flatMap((topic) => spokenLine({ line, topic } as Scene).match(/[A-Za-z]+/g) ?? []),
  );
  const person = ['is', 'a', 'who', 'loves', 'and', 'hates'];
  return [...new Set([...spoken, ...person, ...cast.voices, ...cast.tempers, ...cast.topics])];
};
