// A full garbage collection, with the finalisers that follow it.
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Finalisers of native objects run in later turns of the event loop. */
export const collectGarbage = async (): Promise<void> => {
  for (let round = 0; round < 5; ++round) {
    gc();
    await setTimeout(20);
  }
};
