// How long the event loop stood still while something ran.
import { readFileSync } from 'node:fs';

/**
 * Milliseconds that the main thread has been ready to run but had no processor: on a busy machine
 * the loop also stands still for that, and it is nobody's fault. 0 where Linux does not tell.
 */
const waitedForProcessor = (): number => {
  try {
    const [, wait] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
    return Number(wait) / 1e6;
  } catch {
    return 0;
  }
};

/** The longest time between two turns of the loop, in ms, less what it waited for a processor. */
export const longestBlock = async (work: () => Promise<unknown>): Promise<number> => {
  let [time, waited, longest] = [performance.now(), waitedForProcessor(), 0];
  const tick = (): void => {
    const [now, wait] = [performance.now(), waitedForProcessor()];
    longest = Math.max(longest, now - time - (wait - waited));
    [time, waited] = [now, wait];
  };
  const timer = setInterval(tick, 2);
  try {
    await work();
    tick();
    return longest;
  } finally {
    clearInterval(timer);
  }
};
