// What the rater of the chat world likes: a voice that is heard but not overacted, a temper and
// tastes that are the character's own, and an answer to what the guest said.
import type { Clause, Parsed } from '../grammar.js';
import { type Terms, manner, once } from '../rating.js';
import { type Line, type Scene, tempers, voices } from './characters.js';

export const chatTerms = [
  'voice',
  'otherVoices',
  'topic',
  'tastes',
  'temper',
  'answer',
  'question',
  'evasion',
  'fluency',
  'length',
  'repetition',
] as const;

/** Whether the character likes a topic: 1, -1 or, where nothing is known, 0. */
export const likingOf = ({ loved, hated }: Scene, topic: string): number => {
  if (topic === loved) return 1;
  return topic === hated ? -1 : 0;
};

const isLiking = (quality: string): boolean =>
  Object.values(tempers).some(({ liked }) => liked.includes(quality));

/** What a clause says about a topic: 1 likes, -1 dislikes, 0 neither. */
const stanceOf = ({ kind, slots }: Clause): number => {
  if (kind === 'opinion') return isLiking(slots.quality!) ? 1 : -1;
  const feeling = slots.feeling ?? slots.feels;
  if (feeling === undefined) return 0;
  return feeling.startsWith('love') ? 1 : -1;
};

const tasteTerm = (scene: Scene, clauses: readonly Clause[]): number => {
  const judgements = clauses
    .map((clause) => stanceOf(clause) * likingOf(scene, clause.slots.topic ?? ''))
    .filter((sign) => sign !== 0);
  const right = judgements.filter((sign) => sign > 0).length;
  return once(right, 0.8, 0.1) - 1.1 * (judgements.length - right);
};

const temperTerm = (scene: Scene, clauses: readonly Clause[]): number => {
  const { liked, disliked } = tempers[scene.temper]!;
  const qualities = clauses.flatMap(({ slots }) => slots.quality ?? []);
  const own = qualities.filter((quality) => [...liked, ...disliked].includes(quality)).length;
  return 0.4 * Math.min(own, 2) - 0.5 * (qualities.length - own);
};

const answerTerm = (line: Line, clauses: readonly Clause[], topic: string): number => {
  const has = (...kinds: string[]): boolean =>
    clauses.some(({ kind, slots }) => kinds.includes(kind) && (slots.topic ?? topic) === topic);
  const answered: Readonly<Record<Line, boolean>> = {
    ask: has('feeling', 'opinion'),
    tell: has('memory', 'opinion'),
    saw: has('memory', 'feeling'),
    fear: has('comfort', 'near'),
    love: has('feeling', 'opinion'),
  };
  const unasked = line === 'fear' ? 0 : clauses.filter(({ kind }) => kind === 'comfort').length;
  return (answered[line] ? 0.4 : -0.4) - 0.4 * unasked;
};

const voiceTerms = (scene: Scene, clauses: readonly Clause[]) => {
  const voice = voices[scene.voice]!;
  const said = clauses.flatMap(({ slots: { call, belonging, address } }) => [
    ...(call === undefined ? [] : [voice.calls.includes(call)]),
    ...(belonging === undefined ? [] : [voice.belongings.includes(belonging)]),
    ...(address === undefined ? [] : [voice.addresses.includes(address)]),
  ]);
  const own = said.filter(Boolean).length;
  const bonus = [0, 0.6, 1, 1][own] ?? 1 - 0.5 * (own - 3);
  return { voice: bonus - 0.4, otherVoices: -0.8 * (said.length - own) };
};

export const rateChat = (scene: Scene, parsed: Parsed): Terms => {
  const { clauses } = parsed;
  const topics = clauses.flatMap(({ slots }) => slots.topic ?? []);
  const onTopic = topics.includes(scene.topic);
  const astray = topics.filter((topic) => topic !== scene.topic && topic !== scene.loved).length;
  const questions = clauses.filter(({ kind }) => kind === 'back' || kind === 'back2').length;
  return {
    ...voiceTerms(scene, clauses),
    topic: (onTopic ? 0.5 : -0.5) - 0.35 * astray,
    tastes: tasteTerm(scene, clauses),
    temper: temperTerm(scene, clauses),
    answer: answerTerm(scene.line, clauses, scene.topic),
    question: once(questions, 0.3, -0.5),
    evasion: -0.9 * clauses.filter(({ kind }) => kind === 'evasion').length,
    ...manner(parsed, { longest: 22, shortest: 4 }),
  };
};
