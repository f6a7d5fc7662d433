// Arguments: folder, JSON of FolderRun and killAfter: milliseconds after which the process kills
// itself, whatever the engine's thread is writing.
import { type FolderRun, folderRun } from '../folder-loop.js';

const [folder = '', text = '{}'] = process.argv.slice(2);
const { killAfter, ...settings } = JSON.parse(text) as FolderRun & { killAfter?: number };

const die = (): void => {
  process.kill(process.pid, 'SIGKILL');
};
const timer = killAfter === undefined ? undefined : setTimeout(die, killAfter);
await folderRun(folder, settings, die);
clearTimeout(timer);
