// What helps against what, and what harms what: the knowledge, grammar and prompts of the help world.
import type { RandomStream } from '../../data/random.js';
import { Grammar } from '../grammar.js';
import type { Difficulty } from '../task.js';

interface Tool {
  /** What it is used for, in a verb. */
  readonly verbs: readonly string[];
  /** What it is used on has to dry. */
  readonly wet?: true;
}

export const tools: Readonly<Record<string, Tool>> = {
  salt: { verbs: ['rub', 'scrub'] },
  vinegar: { verbs: ['wipe', 'wash'], wet: true },
  sand: { verbs: ['scrub', 'rub'] },
  'warm water': { verbs: ['wash'], wet: true },
  'a brush': { verbs: ['scrub'] },
  soap: { verbs: ['wash', 'scrub'], wet: true },
  'a spoon': { verbs: ['scrape', 'tap'] },
  oil: { verbs: ['rub', 'wipe'] },
  'a cloth': { verbs: ['wipe', 'rub'] },
  milk: { verbs: ['wipe'], wet: true },
  'lemon juice': { verbs: ['wipe', 'rub'], wet: true },
  soda: { verbs: ['rub', 'scrub'] },
  glue: { verbs: ['mend', 'seal'] },
  tape: { verbs: ['mend', 'seal'] },
  thread: { verbs: ['mend'] },
  'a mallet': { verbs: ['tap'] },
};

export const verbs = [...new Set(Object.values(tools).flatMap((tool) => tool.verbs))];

/** Problem → the tools that help against it. */
export const remedies: Readonly<Record<string, readonly string[]>> = {
  rust: ['salt', 'vinegar', 'sand'],
  mud: ['warm water', 'a brush', 'soap'],
  dust: ['a cloth', 'a brush', 'milk'],
  'a crack': ['glue', 'tape'],
  grease: ['soap', 'soda', 'salt'],
  'a tear': ['thread', 'tape', 'glue'],
  ink: ['milk', 'lemon juice', 'vinegar'],
  wax: ['a spoon', 'warm water', 'oil'],
  soot: ['soda', 'soap', 'a brush'],
  'a dent': ['a mallet', 'a spoon'],
  mould: ['vinegar', 'lemon juice', 'soda'],
  'a hole': ['tape', 'thread', 'glue'],
};

/** Object → the tools that harm what it is made of. */
export const hazards: Readonly<Record<string, readonly string[]>> = {
  'copper pan': ['sand', 'soda'],
  'wool coat': ['a brush', 'soda', 'sand'],
  'leather boot': ['warm water', 'vinegar', 'salt'],
  'wooden chair': ['sand', 'vinegar', 'lemon juice'],
  'iron pot': ['warm water', 'milk'],
  'paper map': ['warm water', 'soap', 'milk', 'oil'],
  'silver spoon': ['salt', 'soda', 'sand'],
  'glass jar': ['sand', 'a mallet', 'salt'],
  'cotton shirt': ['oil', 'sand'],
  'clay cup': ['a mallet', 'oil', 'thread'],
  'straw hat': ['a brush', 'warm water'],
  'stone bench': ['vinegar', 'lemon juice', 'thread'],
};

export const people = ['mother', 'uncle', 'sister', 'neighbour', 'teacher', 'grandfather'];

/** What the user says about himself → how he wants to be helped. */
export const moods = {
  'i am in a hurry': 'hurry',
  'i am new to this': 'new',
  'i have no money': 'poor',
  'my hands hurt': 'tired',
} as const;

export type Mood = (typeof moods)[keyof typeof moods];

const questions = ['what should i do', 'can you help me', 'how do i fix this'];

const correct = (text: string): string => text.replaceAll(/\bi\b/g, 'I');

/** Objects, problems; whether the owner and the mood are always told. */
const sizes = {
  1: { objects: 8, problems: 8, both: false },
  2: { objects: 10, problems: 10, both: false },
  3: { objects: 12, problems: 12, both: true },
} as const;

export interface Request {
  readonly object: string;
  readonly problem: string;
  readonly owner: string | null;
  readonly mood: Mood | null;
  readonly question: string;
}

export const householdGrammar = (difficulty: Difficulty): Grammar => {
  const { objects, problems } = sizes[difficulty];
  return new Grammar({
    lexicon: {
      verb: verbs,
      tool: Object.keys(tools),
      relative: people,
      object: Object.keys(hazards).slice(0, objects),
      problem: Object.keys(remedies).slice(0, problems),
      mood: Object.keys(moods).map(correct),
      question: questions.map(correct),
      start: ['sure', 'of course', 'well'],
    },
    clauses: {
      problem: 'my {object} has {problem}',
      stain: 'my {object} is covered in {problem}',
      owner: 'it belongs to my {relative}',
      mood: '{mood}',
      question: '{question}',
      start: '{start} ,',
      first: 'first ,',
      step: '{verb} it with {tool}',
      dry: 'let it dry',
      wait: 'wait for an hour',
      warning: 'keep it away from {tool}',
      courage: 'you can do it',
      friend: 'ask a friend to help',
      consult: 'ask your {relative} first',
      buy: 'buy a new one',
      unsure: 'I am not sure',
      luck: 'good luck',
    },
    roles: { start: 'opener', first: 'opener', question: 'question' },
    joiners: ['and', ', then', ', and', 'or'],
  });
};

const from = <Item>(items: readonly Item[], stream: RandomStream): Item =>
  items[stream.below(items.length)]!;

export const drawRequest = (
  difficulty: Difficulty,
  grammar: Grammar,
  stream: RandomStream,
): Request => {
  const { both } = sizes[difficulty];
  const tellsOwner = both || stream.uniform() < 0.5;
  const tellsMood = both || !tellsOwner || stream.uniform() < 0.3;
  return {
    object: from(grammar.phrases('object'), stream),
    problem: from(grammar.phrases('problem'), stream),
    owner: tellsOwner ? from(people, stream) : null,
    mood: tellsMood ? from(Object.values(moods), stream) : null,
    question: correct(from(questions, stream)),
  };
};

const isDamage = (problem: string): boolean => problem.startsWith('a ');

export const writeRequest = (grammar: Grammar, request: Request): string => {
  const { object, problem, owner, mood, question } = request;
  const said = Object.entries(moods).find(([, each]) => each === mood)?.[0];
  const clause = (kind: string, slots: Record<string, string>): string => {
    const text = grammar.write({ kind, slots });
    return text.slice(0, 1).toUpperCase() + text.slice(1);
  };
  const parts = [
    `${clause(isDamage(problem) ? 'problem' : 'stain', { object, problem })}.`,
    ...(owner === null ? [] : [`${clause('owner', { relative: owner })}.`]),
    ...(said === undefined ? [] : [`${clause('mood', { mood: correct(said) })}.`]),
    `${clause('question', { question })}?`,
  ];
  return `User: ${parts.join(' ')}\nHelper:`;
};

export const readRequest = (grammar: Grammar, prompt: string): Request | null => {
  const text = /^User: (.*)\nHelper:$/.exec(prompt)?.[1];
  if (text === undefined) return null;
  const { clauses } = grammar.parse(text);
  const slots = Object.assign({}, ...clauses.map((clause) => clause.slots)) as Record<
    string,
    string
  >;
  const { object, problem, relative = null, mood, question } = slots;
  if (object === undefined || problem === undefined || question === undefined) return null;
  const said = Object.entries(moods).find(([words]) => correct(words) === mood)?.[1] ?? null;
  const request = { object, problem, owner: relative, mood: said, question };
  // Other texts with the same clauses are no prompts: what was read must be what would be written.
  return writeRequest(grammar, request) === prompt ? request : null;
};
