// An abort ends a run even where someone else's code, such as a judge, does not answer it.
import { AlignlabError } from '../errors.js';

export const aborted = (cause?: unknown): AlignlabError => {
  const message = 'Training was aborted; the policy is as after its last step.';
  return new AlignlabError('ABORTED', message, { cause });
};

/** What does answer gets this long to clean up before it is left behind. */
const graceMs = 1000;

/**
 * `work`, or after an abort and a moment of grace the signal's reason. Work that is left behind
 * goes on in the background, and what becomes of it is passed over.
 */
export const abortable = async <T>(work: Promise<T>, signal?: AbortSignal): Promise<T> => {
  if (!signal) return work;
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => undefined;
  const abandoned = new Promise<never>((_, reject) => {
    onAbort = (): void => {
      timer = setTimeout(() => {
        reject(signal.reason as Error);
      }, graceMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
  try {
    return await Promise.race([work, abandoned]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
};
