// How far a study is. On a terminal a bar for the whole and one for each stage that runs; elsewhere
// a line for each stage.
import cliProgress, { type SingleBar } from 'cli-progress';
import type { StageEvent } from '../../studies/study.js';
import { note } from '../output.js';

export interface StudyProgress {
  readonly onPlan: (stages: number) => void;
  readonly onEvent: (event: StageEvent) => void;
  readonly stop: () => void;
}

const wasKept = ({ kind }: StageEvent): boolean => kind === 'reused';
const hasEnded = (event: StageEvent): boolean => event.kind === 'finished' || wasKept(event);

const lines = (): StudyProgress => {
  let [total, done] = [0, 0];
  return {
    onPlan: (stages) => (total = stages),
    onEvent: (event) => {
      if (!hasEnded(event)) return;
      done += 1;
      // The plan comes after the first stage, and may have missed some that depend on results.
      const of = total > 0 ? `/${Math.max(total, done)}` : '';
      note(`${done}${of} ${event.stage}${wasKept(event) ? ' (kept)' : ''}`);
    },
    stop: () => undefined,
  };
};

const bars = (): StudyProgress => {
  const all = new cliProgress.MultiBar({
    format: '{bar} {percentage} %  {stage}',
    stream: process.stderr,
    hideCursor: true,
    barsize: 24,
    clearOnComplete: true,
  });
  const whole = all.create(1, 0, { stage: 'the study' });
  const running = new Map<string, SingleBar>();
  let [total, done] = [1, 0];
  const show = (): void => {
    whole.setTotal(Math.max(total, done));
    whole.update(done, { stage: `the study: ${done} of ${Math.max(total, done)} stages` });
  };
  return {
    onPlan: (stages) => {
      total = stages;
      show();
    },
    onEvent: (event) => {
      const { key, stage, kind, done: at = 0, of = 1 } = event;
      const own = running.get(key);
      if (kind === 'started') running.set(key, all.create(1, 0, { stage }));
      if (kind === 'progress') {
        own?.setTotal(of);
        own?.update(at);
      }
      if (!hasEnded(event)) return;
      if (own) all.remove(own);
      running.delete(key);
      done += 1;
      show();
    },
    stop: () => {
      all.stop();
    },
  };
};

export const studyProgress = (): StudyProgress => (process.stderr.isTTY ? bars() : lines());
