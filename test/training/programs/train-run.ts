// Arguments: folder, JSON of TrainRun and killAfter: milliseconds after which the process kills
// itself, whatever the engine's thread is doing.
import { type TrainRun, trainRun } from '../train-loop.js';

const [folder = '', text = '{}'] = process.argv.slice(2);
const { killAfter, ...settings } = JSON.parse(text) as TrainRun & { killAfter?: number };

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
const timer = killAfter === undefined ? undefined : setTimeout(die, killAfter);
await trainRun(folder, settings, die);
clearTimeout(timer);
