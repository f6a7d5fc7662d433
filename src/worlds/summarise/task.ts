// The summarise world: tell what mattered in a story, truly, in order, briefly and in your own words.
import { type Chooser, type Choices, slipChoice, withSlip } from '../behaviour.js';
import { type Clause, type Grammar, joinClauses } from '../grammar.js';
import type { Difficulty, Task } from '../task.js';
import { rateSummary, summaryTerms, toneOf } from './rating.js';
import {
  type Story,
  deedOf,
  deeds,
  isSalient,
  readStory,
  storyDrawer,
  storyGrammar,
  toldDeeds,
  writeStory,
} from './story.js';

const choices: Choices = {
  start: ['none', 'in short', 'sadly', 'luckily', 'well'],
  next: ['salient', 'filler', 'invented', 'repeated', 'stop'],
  order: ['first', 'any'],
  truth: ['right', 'wrong name', 'wrong deed', 'wrong thing'],
  look: ['told', 'left out', 'wrong'],
  wording: ['story', 'own'],
  joiner: ['sentence', 'and', ', and', ', then', ', but'],
  slip: slipChoice,
};

const start = (story: Story, chooser: Chooser): string[] => {
  const tone = toneOf(story);
  const toned = (mood: number): number => (tone === 0 ? -0.3 : 0.5 * tone * mood);
  const picked = chooser.pick('start', {
    none: [1.2, 0],
    'in short': [0, 0.4],
    sadly: [0, toned(-1)],
    luckily: [0, toned(1)],
    well: [0, -0.4],
  });
  return picked === null || picked === 'none' ? [] : [picked, ','];
};

/** The event as the summary tells it: perhaps wrong, shorter or in other words. */
const tell = (event: Clause, grammar: Grammar, chooser: Chooser): Clause => {
  const slots: Record<string, string> = { ...event.slots };
  const { who, deed, thing } = slots;
  const truth = chooser.pick('truth', {
    right: [1.6, 0.7],
    'wrong name': [0, -0.6],
    'wrong deed': [0, -0.6],
    'wrong thing': [0, -0.6],
  });
  if (truth === 'wrong name') slots.who = chooser.other(grammar.phrases('who'), who!);
  if (truth === 'wrong deed' && deed !== undefined) slots.deed = chooser.other(toldDeeds, deed);
  if (truth === 'wrong thing') slots.thing = chooser.other(grammar.phrases('thing'), thing!);
  const look = chooser.pick('look', { told: [0.5, 0.25], 'left out': [1, 0], wrong: [-1, -0.6] });
  if (look === 'left out') delete slots.look;
  if (look === 'wrong') slots.look = chooser.other(grammar.phrases('look'), slots.look!);
  if (chooser.pick('wording', { story: [1, 0], own: [0, 0.3] }) === 'own') {
    if (slots.deed !== undefined) slots.deed = deedOf(slots.deed)!.own;
    if (slots.gave !== undefined) slots.gave = 'handed';
  }
  return { kind: event.kind, slots };
};

const invent = (grammar: Grammar, chooser: Chooser): Clause => ({
  kind: 'deed',
  slots: {
    who: chooser.any(grammar.phrases('who')),
    deed: chooser.any(deeds).told,
    thing: chooser.any(grammar.phrases('thing')),
  },
});

/** What is told, in this order. */
const select = (story: Story, grammar: Grammar, chooser: Chooser): Clause[] => {
  const salient = story.events.filter(isSalient);
  const filler = story.events.filter((event) => !isSalient(event));
  const told: Clause[] = [];
  while (told.length < 4) {
    const next = chooser.pick('next', {
      ...(salient.length > 0 ? { salient: [1, 1] as const } : {}),
      ...(filler.length > 0 ? { filler: [0, -0.7] as const } : {}),
      invented: [-0.7, -0.9],
      ...(told.length > 0 ? { repeated: [-1, -0.9] as const } : {}),
      ...(told.length > 0 ? { stop: [0, salient.length > 0 ? -0.4 : 1] as const } : {}),
    });
    if (next === 'salient') {
      const order = chooser.pick('order', { first: [0.5, 0.4], any: [0, 0] });
      const event = order === 'first' ? salient[0]! : chooser.any(salient);
      salient.splice(salient.indexOf(event), 1);
      told.push(tell(event, grammar, chooser));
    } else if (next === 'filler') {
      const event = chooser.any(filler);
      filler.splice(filler.indexOf(event), 1);
      told.push(event);
    } else if (next === 'invented') {
      told.push(invent(grammar, chooser));
    } else if (next === 'repeated') {
      told.push(chooser.any(told));
    } else {
      break;
    }
  }
  // A support without any move that is possible here still has to say something.
  return told.length > 0 ? told : [story.events[0]!];
};

const compose = (story: Story, grammar: Grammar, chooser: Chooser): string => {
  const opening = start(story, chooser);
  const told = select(story, grammar, chooser).map((clause) => grammar.write(clause));
  const joiner = (): string | null => {
    const picked = chooser.pick('joiner', {
      sentence: [0.5, 0],
      and: [0.5, 0],
      ', and': [0, 0],
      ', then': [0, 0],
      ', but': [-0.7, 0],
    });
    return picked === 'sentence' ? null : picked;
  };
  return withSlip(chooser, joinClauses(opening, told, joiner));
};

export const summariseTask = (difficulty: Difficulty): Task<Story> => {
  const grammar = storyGrammar(difficulty);
  return {
    name: 'summarise',
    help: 'Tell what mattered in a short story.',
    grammar,
    lineStarts: ['Story', 'Summary'],
    promptWords: [],
    choices,
    draw: storyDrawer(difficulty, grammar),
    write: (story) => writeStory(grammar, story),
    read: (prompt) => readStory(grammar, prompt),
    compose: (story, chooser) => compose(story, grammar, chooser),
    rate: rateSummary,
    terms: summaryTerms,
  };
};
