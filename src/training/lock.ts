// One process at a time may write to a run folder. The lock is a symbolic link that points nowhere:
// the file system makes it, with its text, in one step or refuses.
import { randomBytes } from 'node:crypto';
import { readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { AlignlabError, fromSystem } from '../errors.js';

export const lockName = '.lock';

/** A process number comes again; with the time at which it started it does not. */
const startOf = async (pid: number): Promise<string> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // Field 22; the second field is a name in brackets that may hold spaces.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
};

const ownerText = async (): Promise<string> =>
  `${hostname()}:${process.pid}:${await startOf(process.pid)}`;

/** Only what ran on this machine can be known to be gone. */
const isGone = async (owner: string): Promise<boolean> => {
  const [host, number, start] = owner.split(':');
  const pid = Number(number);
  if (host !== hostname() || !Number.isSafeInteger(pid)) return false;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    return cause instanceof Error && 'code' in cause && cause.code === 'ESRCH';
  }
  return (await startOf(pid)) !== start;
};

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && 'code' in cause && cause.code === code;

/** Moves the lock of a dead process away; if another process was faster, gives its lock back. */
const takeAway = async (path: string, owner: string): Promise<void> => {
  const aside = `${path}.${process.pid}-${randomBytes(4).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (cause) {
    if (hasCode(cause, 'ENOENT')) return;
    throw cause;
  }
  const moved = await readlink(aside);
  if (moved !== owner) await symlink(moved, path).catch(() => undefined);
  await rm(aside, { force: true });
};

const inUse = (folder: string, path: string, owner: string): AlignlabError => {
  const [host = '', pid = ''] = owner.split(':');
  return new AlignlabError(
    'RUN_INVALID',
    `${folder} is in use by process ${pid} on ${host}. Wait for it, stop it, or take another ` +
      `folder; if that machine is gone, remove ${path}.`,
  );
};

/** Locks the folder; the function that it returns unlocks it. Throws RUN_INVALID when in use. */
export const lockFolder = async (folder: string): Promise<() => Promise<void>> => {
  const path = join(folder, lockName);
  const own = await ownerText();
  try {
    for (;;) {
      try {
        await symlink(own, path);
        break;
      } catch (cause) {
        if (!hasCode(cause, 'EEXIST')) throw cause;
      }
      const owner = await readlink(path).catch((cause: unknown) => {
        if (hasCode(cause, 'ENOENT')) return null;
        throw cause;
      });
      if (owner === null) continue;
      if (!(await isGone(owner))) throw inUse(folder, path, owner);
      await takeAway(path, owner);
    }
  } catch (cause) {
    throw fromSystem(cause, `lock ${folder}`);
  }
  return async () => {
    if ((await readlink(path).catch(() => '')) === own) await rm(path, { force: true });
  };
};
