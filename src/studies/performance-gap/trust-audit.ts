// Do the discriminators know where the proxy errs? Gaps of pairs along an arm's stream, beside what
// the golden model, which neither proxy nor arm may ask, says of their labels.
import type { Artefact, Stages } from '../study.js';
import { logPath } from './arm-parts.js';
import { type Ground, openBench } from './bench.js';
import { readPairs, requestsOf, windows } from './stream.js';

export interface TrustAudit {
  /** Of each pair, in the stream's order, nats. */
  readonly gaps: readonly number[];
  /** R where the golden model agrees with the label, x where it does not; ties are left out. */
  readonly right: string;
  readonly [key: string]: unknown;
}

/**
 * How often a wrong label has the larger gap of a wrong and a right one: 1/2 by chance. Null where
 * there are none of one kind.
 */
export const areaUnderCurve = ({ gaps, right }: TrustAudit): number | null => {
  const of = (letter: string): number[] => gaps.filter((_, i) => right[i] === letter);
  const [agreed, wrong] = [of('R'), of('x')];
  if (agreed.length === 0 || wrong.length === 0) return null;
  const won = wrong.flatMap((gap) => agreed.map((other) => (1 + Math.sign(gap - other)) / 2));
  return won.reduce((sum, each) => sum + each, 0) / won.length;
};

/** Of a stream whose pairs have gaps. */
export const trustAudit = (
  stages: Stages,
  ground: Ground,
  { proxy, arm }: { readonly proxy: Artefact; readonly arm: Artefact },
): Promise<Artefact<TrustAudit>> => {
  const { streamPlaces, streamPairs } = ground.materials.recipe.evaluation;
  return stages.stage<TrustAudit>({
    name: `gaps along the stream of ${arm.name}`,
    settings: { streamPlaces, streamPairs },
    inputs: [ground.golden, proxy, arm],
    run: async () => {
      const stream = await readPairs(logPath(arm));
      const [bench, golden, close] = await openBench(ground, proxy);
      try {
        const requestOf = requestsOf(golden, ground.materials);
        const part = windows(stream, streamPlaces, streamPairs).flat();
        const verdicts = await bench.golden.compare(part.map(({ example }) => requestOf(example)));
        const told = verdicts.flatMap(({ preference }, i) => {
          const isTold = preference !== null && preference !== 0.5;
          return isTold ? [{ right: preference > 0.5, gap: part[i]!.example.gap! }] : [];
        });
        return {
          gaps: told.map(({ gap }) => gap),
          right: told.map(({ right }) => (right ? 'R' : 'x')).join(''),
        };
      } finally {
        await close();
      }
    },
  });
};
