// What every study command does: progress, an end in order at Ctrl-C, the summary, the exit code.
import type { Signature } from '../../studies/signature.js';
import { note, print } from '../output.js';
import { type StudyProgress, studyProgress } from './progress.js';
import { signatureTable } from './signature-table.js';

interface Outcome {
  readonly signatures: readonly Signature[];
  readonly report: string;
  /** Signatures that the scale asserts and that do not hold. */
  readonly failed: readonly string[];
}

export interface StudyHooks extends Pick<StudyProgress, 'onEvent' | 'onPlan'> {
  readonly signal: AbortSignal;
}

export interface StudyCommand {
  /** Of the summary: the study, its scale, its seeds. */
  readonly title: string;
  /** What does the same; with --resume it goes on. */
  readonly command: string;
  /** Print the signatures as JSON, and no summary. */
  readonly json: boolean;
  run(hooks: StudyHooks): Promise<Outcome>;
}

const runWithProgress = async (study: StudyCommand, signal: AbortSignal): Promise<Outcome> => {
  const { onEvent, onPlan, stop } = studyProgress();
  try {
    return await study.run({ onEvent, onPlan, signal });
  } finally {
    stop();
  }
};

/** Ids with commas between them, as --only takes them. */
export const idsOf = (text: string): string[] =>
  text
    .split(',')
    .map((id) => id.trim())
    .filter((id) => id !== '');

export const runStudyCommand = async (study: StudyCommand): Promise<void> => {
  const controller = new AbortController();
  const { signal } = controller;
  const stop = (): void => {
    controller.abort();
  };
  process.once('SIGINT', stop); // a second Ctrl-C ends the process at once
  try {
    const { signatures, report, failed } = await runWithProgress(study, signal);
    const summary = [study.title, '', signatureTable(signatures), `report: ${report}`];
    print(study.json ? JSON.stringify(signatures) : summary.join('\n'));
    if (failed.length === 0) return;
    note(`This scale asserts ${failed.join(', ')}, and it does not hold.`);
    process.exitCode = 1;
  } catch (error) {
    if (!signal.aborted) throw error;
    note(`\nStopped. Go on with: ${study.command} --resume`);
    process.exitCode = 130; // as shells report an end by SIGINT
  } finally {
    process.removeListener('SIGINT', stop);
  }
};
