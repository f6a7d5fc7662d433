// Short stories, some of whose events matter: words, grammar and prompts of the summarise world.
import type { RandomStream } from '../../data/random.js';
import { type Clause, Grammar, sentence } from '../grammar.js';
import type { Difficulty } from '../task.js';

interface Deed {
  readonly told: string;
  /** The same in other words. */
  readonly own: string;
  /** 1: good news, -1: bad news. */
  readonly mood: number;
}

export const deeds: readonly Deed[] = [
  { told: 'lost', own: 'misplaced', mood: -1 },
  { told: 'found', own: 'discovered', mood: 1 },
  { told: 'broke', own: 'smashed', mood: -1 },
  { told: 'won', own: 'gained', mood: 1 },
  { told: 'sold', own: 'traded', mood: 0 },
  { told: 'repaired', own: 'fixed', mood: 1 },
  { told: 'burned', own: 'scorched', mood: -1 },
  { told: 'hid', own: 'buried', mood: 0 },
];

const people = ['Mira', 'Otto', 'Lena', 'Hugo', 'Nora', 'Felix', 'Ida', 'Bruno', 'Tess', 'Anton'];
const things = [
  ['key', 'boat', 'lamp', 'crown', 'letter', 'clock'],
  ['violin', 'map', 'coat', 'ring', 'wagon', 'drum'],
  ['mirror', 'kite', 'basket', 'ladder'],
];
const looks = ['silver', 'old', 'red', 'tiny', 'golden', 'heavy', 'blue', 'wooden'];
const habits = [
  'drank some tea',
  'hummed a tune',
  'watched the birds',
  'ate warm soup',
  'took a nap',
  'swept the floor',
  'fed the hens',
  'read the news',
];
const places = ['sky', 'street', 'wind', 'garden', 'river', 'market'];
const states = ['grey', 'quiet', 'cold', 'green', 'calm', 'busy'];

/** Ranges: events of a story, and how many of them matter. */
const sizes = {
  1: { people: 5, events: [3, 3], salient: [1, 2], gifts: false },
  2: { people: 8, events: [3, 4], salient: [1, 3], gifts: false },
  3: { people: 10, events: [4, 5], salient: [2, 3], gifts: true },
} as const;

/** An event: what happened, and whether it matters. */
export interface Story {
  readonly events: readonly Clause[];
}

export const isSalient = ({ kind }: Clause): boolean => kind === 'deed' || kind === 'gift';

export const toldDeeds = deeds.map(({ told }) => told);

/** What was done, whichever words say it. */
export const deedOf = (words: string): Deed | undefined =>
  deeds.find(({ told, own }) => told === words || own === words);

export const storyGrammar = (difficulty: Difficulty): Grammar => {
  const { people: count, gifts } = sizes[difficulty];
  const names = people.slice(0, count);
  return new Grammar({
    lexicon: {
      who: names,
      deed: deeds.flatMap(({ told, own }) => [told, own]),
      look: looks,
      thing: things.slice(0, difficulty).flat(),
      habit: habits,
      place: places,
      state: states,
      ...(gifts ? { gave: ['gave', 'handed'], whom: names } : {}),
      start: ['in short', 'sadly', 'luckily', 'well'],
    },
    clauses: {
      deed: '{who} {deed} the [{look}] {thing}',
      habit: '{who} {habit}',
      scene: 'the {place} was {state}',
      ...(gifts ? { gift: '{who} {gave} the [{look}] {thing} to {whom}' } : {}),
      start: '{start} ,',
    },
    roles: { start: 'opener' },
    joiners: ['and', ', and', ', then', ', but'],
  });
};

type Draw = (stream: RandomStream) => Story;

const from = <Item>(items: readonly Item[], stream: RandomStream): Item =>
  items[stream.below(items.length)]!;

const between = ([low, high]: readonly [number, number], stream: RandomStream): number =>
  low + stream.below(high - low + 1);

const take = <Item>(items: Item[], stream: RandomStream): Item =>
  items.splice(stream.below(items.length), 1)[0]!;

/** Draws stories: no thing and no habit occurs twice in one, so that facts can be told apart. */
export const storyDrawer = (difficulty: Difficulty, grammar: Grammar): Draw => {
  const { events: eventRange, salient: salientRange, gifts } = sizes[difficulty];
  const names = grammar.phrases('who');
  return (stream) => {
    const total = between(eventRange, stream);
    const salient = Math.min(between(salientRange, stream), total - 1);
    const [thingsLeft, habitsLeft] = [[...grammar.phrases('thing')], [...habits]];
    const placesLeft = [...places];
    const cast = [take([...names], stream), from(names, stream), from(names, stream)];
    const deed = (): Clause => {
      const slots = {
        who: from(cast, stream),
        deed: from(toldDeeds, stream),
        look: from(looks, stream),
        thing: take(thingsLeft, stream),
      };
      return { kind: 'deed', slots };
    };
    const gift = (): Clause => {
      const { deed: _, ...slots } = deed().slots as Record<string, string>;
      const whom = from(
        names.filter((name) => name !== slots.who),
        stream,
      );
      return { kind: 'gift', slots: { ...slots, gave: 'gave', whom } };
    };
    const filler = (): Clause =>
      stream.uniform() < 0.7
        ? { kind: 'habit', slots: { who: from(cast, stream), habit: take(habitsLeft, stream) } }
        : {
            kind: 'scene',
            slots: { place: take(placesLeft, stream), state: from(states, stream) },
          };
    const giftAt = gifts && stream.uniform() < 0.5 ? 0 : -1;
    const listed = Array.from({ length: total }, (_, i) => {
      if (i >= salient) return filler();
      return i === giftAt ? gift() : deed();
    });
    return { events: Array.from({ length: total }, () => take(listed, stream)) };
  };
};

export const writeStory = (grammar: Grammar, { events }: Story): string =>
  `Story: ${events.map((event) => sentence([grammar.write(event)])).join(' ')}\nSummary:`;

export const readStory = (grammar: Grammar, prompt: string): Story | null => {
  const text = /^Story: (.*)\nSummary:$/.exec(prompt)?.[1];
  if (text === undefined) return null;
  const { clauses, errors } = grammar.parse(text);
  return errors === 0 && clauses.some(isSalient) ? { events: clauses } : null;
};
