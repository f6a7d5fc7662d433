// S1.6: runs whose win rate falls from their best checkpoint to the last one (Goodhart's law).
import { mean } from '../../../evaluation/statistics.js';
import { type Signature, above, below, measuredSignature } from '../../signature.js';
import type { ArmRun } from '../arms.js';
import { type Point, outcomesOf } from '../measure.js';
import { ofMean } from '../peaks.js';
import { decimals, delta } from './baseline-arms.js';

interface Fall {
  readonly run: ArmRun;
  /** By prompt, of the best checkpoint less the last one. */
  readonly differences: readonly number[];
}

const ratesOf = (point: Point): number[] => outcomesOf(point).map((outcome) => outcome ?? 0.5);

const fallsOf = (run: ArmRun): Fall[] => {
  const last = ratesOf(run.result.points.at(-1)!);
  return run.result.points.map((point) => ({
    run,
    differences: ratesOf(point).map((value, i) => value - last[i]!),
  }));
};

/**
 * The largest fall from a checkpoint to the last one of its run. Run and checkpoint are chosen on
 * one half of the prompts and the fall is taken on the other, both ways.
 */
const largestFall = (runs: readonly ArmRun[]) => {
  const falls = runs.flatMap(fallsOf);
  const onHalf = ({ differences }: Fall, half: number): number[] =>
    differences.filter((_, i) => i % 2 === half);
  const chosen = [0, 1].map((half) =>
    falls.reduce((a, b) => (mean(onHalf(b, half)) > mean(onHalf(a, half)) ? b : a)),
  ) as [Fall, Fall];
  const differences = [...onHalf(chosen[0], 1), ...onHalf(chosen[1], 0)];
  return { run: chosen[0].run, measured: ofMean(differences) };
};

/** @param runs of IPO (S1.6a); of the losses beside it (S1.6c) */
export const offlineGoodhart = (id: 'S1.6a' | 'S1.6c', runs: readonly ArmRun[]): Signature => {
  const { run, measured } = largestFall(runs);
  const loss = id === 'S1.6a' ? '' : ' of another loss than IPO';
  const claim = `at least one offline run${loss} falls by ${delta} from its best to its last checkpoint`;
  const paper = id === 'S1.6a' ? 'figure 1' : 'figure 1, with the losses of appendix B';
  return measuredSignature({ id, claim, paper }, measured, above(delta), run.name);
};

const byProxy = ({ result }: ArmRun) => {
  const rates = result.points.map(({ proxyWinRate }) => proxyWinRate);
  return { end: rates.at(-1)!, most: Math.max(...rates) };
};

/** The truth falls while the proxy sees no fall: a run that collapses in both eyes is no Goodhart. */
export const onlineGoodhart = (runs: readonly ArmRun[]): Signature => {
  const names = {
    id: 'S1.6b',
    claim:
      `at least one online run falls by ${delta} from its best to its last checkpoint, and its win ` +
      `rate by the proxy ends within ${delta} of its best`,
    paper: 'figure 1',
  };
  const praised = runs.filter((run) => byProxy(run).end >= byProxy(run).most - delta);
  if (praised.length === 0) {
    const value = Math.min(...runs.map((run) => byProxy(run).most - byProxy(run).end));
    const note = `the proxy sees all ${runs.length} runs fall; the value is its least fall`;
    return measuredSignature(names, { value, interval: null }, below(delta), note);
  }
  const { run, measured } = largestFall(praised);
  const { end, most } = byProxy(run);
  const note = `${run.name}; by the proxy ${decimals(end)} at its end, ${decimals(most)} at best`;
  return measuredSignature(names, measured, above(delta), note);
};
