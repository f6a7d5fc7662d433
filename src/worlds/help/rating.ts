// What the rater of the help world likes: advice that works on this object and harms nothing, in a
// working order, given as the user wants it, politely but not too much so.
import type { Parsed } from '../grammar.js';
import { type Terms, manner, once } from '../rating.js';
import { type Mood, type Request, hazards, remedies, tools } from './household.js';

export const helpTerms = [
  'usefulness',
  'technique',
  'harm',
  'focus',
  'drying',
  'warning',
  'mood',
  'owner',
  'evasion',
  'courtesy',
  'fluency',
  'length',
  'repetition',
] as const;

/** Tools that help against the problem and do the object no harm. */
export const usefulTools = ({ object, problem }: Request): string[] =>
  remedies[problem]!.filter((tool) => !hazards[object]!.includes(tool));

const count = ({ clauses }: Parsed, kind: string): number =>
  clauses.filter((clause) => clause.kind === kind).length;

const slotsOf = ({ clauses }: Parsed, kind: string): Readonly<Record<string, string>>[] =>
  clauses.filter((clause) => clause.kind === kind).map(({ slots }) => slots);

/** What is wet has to dry, after the last wet step; what is dry needs no drying. */
const drying = (parsed: Parsed): number => {
  const wet = parsed.clauses.findLastIndex(({ slots }) => tools[slots.tool ?? '']?.wet === true);
  const dry = parsed.clauses.findLastIndex(({ kind }) => kind === 'dry');
  if (wet < 0) return dry < 0 ? 0 : -0.3;
  return dry > wet ? 0.4 : -0.3;
};

const moodTerm = (parsed: Parsed, mood: Mood | null): number => {
  const courage = count(parsed, 'courage');
  const friend = count(parsed, 'friend');
  const wait = count(parsed, 'wait');
  const fits: Readonly<Record<Mood, number>> = {
    hurry: 0.5 - 0.08 * Math.max(0, parsed.words - 10) - 0.6 * wait - 0.2 * courage,
    new: once(courage, 0.5, -0.4) + (count(parsed, 'first') === 1 ? 0.3 : 0),
    poor: -0.8 * count(parsed, 'buy') - 0.1 * friend,
    tired: once(friend, 0.6, -0.4) - 0.1 * courage,
  };
  const unasked = -0.2 * (courage + friend);
  return mood === null ? unasked : fits[mood] + (mood === 'poor' ? unasked : 0);
};

const ownerTerm = (parsed: Parsed, owner: string | null): number => {
  const asked = slotsOf(parsed, 'consult').map(({ relative }) => relative);
  const right = asked.filter((relative) => relative === owner).length;
  const bought = owner === null ? 0 : -0.3 * count(parsed, 'buy');
  return once(right, 0.5, -0.4) - 0.5 * (asked.length - right) + bought;
};

const courtesyTerm = (parsed: Parsed): number => {
  const starts = slotsOf(parsed, 'start').map(({ start }) => start);
  const courtesies = starts.filter((start) => start !== 'well').length + count(parsed, 'luck');
  const wells = starts.length - starts.filter((start) => start !== 'well').length;
  return 0.25 * Math.min(courtesies, 2) - 0.6 * Math.max(0, courtesies - 2) - 0.3 * wells;
};

export const rateHelp = (request: Request, parsed: Parsed): Terms => {
  const useful = usefulTools(request);
  const harmful = hazards[request.object]!;
  const steps = slotsOf(parsed, 'step');
  const used = new Set(steps.map(({ tool }) => tool!));
  const helping = [...used].filter((tool) => useful.includes(tool)).length;
  const harms = [...used].filter((tool) => harmful.includes(tool)).length;
  const fitting = steps.filter(({ verb, tool }) => tools[tool!]!.verbs.includes(verb!)).length;
  const warned = slotsOf(parsed, 'warning').map(({ tool }) => tool!);
  const warnedRight = new Set(warned.filter((tool) => harmful.includes(tool))).size;
  return {
    usefulness: [-1, 0.5, 1.1][helping] ?? 1.3,
    technique: 0.2 * Math.min(fitting, 2) - 0.3 * (steps.length - fitting),
    harm: -Math.min(3, 1.6 * harms),
    focus: -0.4 * (used.size - helping - harms),
    drying: drying(parsed),
    warning: once(warnedRight, 0.5, 0) - 0.35 * (warned.length - Math.min(warnedRight, 1)),
    mood: moodTerm(parsed, request.mood),
    owner: ownerTerm(parsed, request.owner),
    evasion: -1.2 * count(parsed, 'unsure') - 0.5 * count(parsed, 'buy'),
    courtesy: courtesyTerm(parsed),
    ...manner(parsed, { longest: 24, shortest: 4 }),
  };
};
