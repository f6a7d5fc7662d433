// What the rater of the summarise world likes. Openings and details please it, which a proxy learns
// at once; too many of them do not, which the behaviour policy shows it rarely.
import type { Clause, Parsed } from '../grammar.js';
import { type Terms, manner, once } from '../rating.js';
import { type Story, deedOf, isSalient } from './story.js';

export const summaryTerms = [
  'salience',
  'faithfulness',
  'focus',
  'detail',
  'wording',
  'order',
  'start',
  'fluency',
  'length',
  'repetition',
] as const;

/** 1: on the whole good news, -1: bad news, 0: neither. */
export const toneOf = ({ events }: Story): number =>
  Math.sign(events.reduce((sum, { slots }) => sum + (deedOf(slots.deed ?? '')?.mood ?? 0), 0));

const isTelling = ({ kind }: Clause): boolean => kind === 'deed' || kind === 'gift';

/** Share of what was said that agrees with the event: 1 is a true account. */
const agreement = (said: Clause, event: Clause): number => {
  if (said.kind !== event.kind) return 0;
  const facts = ['who', 'thing', said.kind === 'deed' ? 'deed' : 'whom'] as const;
  const agrees = facts.filter((slot) => {
    const [a, b] = [said.slots[slot] ?? '', event.slots[slot] ?? ''];
    return slot === 'deed' ? deedOf(a) === deedOf(b) : a === b;
  });
  return agrees.length / facts.length;
};

interface Account {
  readonly said: Clause;
  /** Index of the event that it tells best, and how well. */
  readonly event: number;
  readonly agreement: number;
}

const accountsOf = (events: readonly Clause[], clauses: readonly Clause[]): Account[] =>
  clauses.filter(isTelling).map((said) => {
    const agreements = events.map((event) => agreement(said, event));
    const best = Math.max(0, ...agreements);
    return { said, event: agreements.indexOf(best), agreement: best };
  });

const isTrue = (account: Account): boolean => account.agreement === 1;

const startTerm = (starts: readonly string[], tone: number): number => {
  const [first] = starts;
  if (first === undefined) return 0;
  const fits = { 'in short': 0.35, well: -0.3 }[first];
  const mood = first === 'luckily' ? 1 : -1;
  const toned = tone === 0 ? -0.3 : 0.5 * tone * mood;
  return once(starts.length, fits ?? toned, -0.7);
};

export const rateSummary = (story: Story, parsed: Parsed): Terms => {
  const salient = story.events.filter(isSalient);
  const accounts = accountsOf(salient, parsed.clauses);
  const truths = accounts.filter(isTrue);
  const covered = new Set(truths.map(({ event }) => event));
  const inOrder = truths.every(({ event }, i) => i === 0 || event >= truths[i - 1]!.event);
  const isFiller = ({ kind }: Clause): boolean => kind === 'habit' || kind === 'scene';
  const filler = parsed.clauses.filter(isFiller);
  const events = new Set(story.events.map((event) => JSON.stringify(event)));
  const invented = filler.filter((clause) => !events.has(JSON.stringify(clause)));
  const looks = truths.flatMap(({ said, event }) => {
    const { look } = said.slots;
    return look === undefined ? [] : [look === salient[event]!.slots.look];
  });
  const rightLooks = looks.filter(Boolean).length;
  const own = truths.filter(
    ({ said }) =>
      deedOf(said.slots.deed ?? '')?.own === said.slots.deed || said.slots.gave === 'handed',
  );
  const starts = parsed.clauses.flatMap(({ slots }) => slots.start ?? []);
  const near = accounts.filter((account) => !isTrue(account));
  const lies = near.reduce((sum, account) => sum + (account.agreement > 0.5 ? 0.6 : 0.9), 0);
  return {
    salience: 2.2 * (covered.size / salient.length) - 1.1,
    faithfulness: -Math.min(3, lies + 0.5 * invented.length),
    focus: -0.5 * filler.length,
    detail: 0.2 * Math.min(rightLooks, 2) - 0.4 * (looks.length - rightLooks),
    wording: 0.15 * Math.min(own.length, 2),
    order: inOrder ? 0 : -0.4,
    start: startTerm(starts, toneOf(story)),
    ...manner(parsed, { longest: 6 + 6 * salient.length, shortest: 4 }),
  };
};
