// A score of responses made of a pairwise judge, for curves of over-optimisation: the mean log-odds
// of being preferred to a fixed opponent. A pairwise model gives no scalar, but under Bradley-Terry
//
//   log P(y beats y') / (1 - P) = r(y) - r(y'),
//
// so that against fixed y' the log-odds are a reward up to a constant, as Gao et al. 2023 plot it.
// Win rates by hard preferences end at 1, and how far beyond a proxy still goes is lost in them.
import type { JudgeRole, PairJudge, Verdict } from '../../judges/judge.js';
import { meanOf } from '../../numbers.js';

/** What saturated is held here: 27.6 nats. */
const smallest = 1e-12;

const logOdds = (p: number): number => {
  const held = Math.min(1 - smallest, Math.max(smallest, p));
  return Math.log(held / (1 - held));
};

/** Nats, for the response given first, both orders taken together; null where the judge failed. */
export const preferenceScore = ({ preference, orders }: Verdict): number | null => {
  if (preference === null) return null;
  const [first, second] = orders ?? [preference, 1 - preference];
  return (logOdds(first) - logOdds(second)) / 2;
};

/** The judge, with the mean score of all that it is asked through it. */
export const listening = <Role extends JudgeRole>(
  judge: PairJudge<Role>,
): { readonly judge: PairJudge<Role>; mean(): number } => {
  const heard: number[] = [];
  return {
    judge: {
      ...judge,
      compare: async (requests, options) => {
        const verdicts = await judge.compare(requests, options);
        heard.push(...verdicts.flatMap((verdict) => preferenceScore(verdict) ?? []));
        return verdicts;
      },
    },
    mean: () => (heard.length === 0 ? 0 : meanOf(heard)),
  };
};
