// What the scripts do on a machine without a compiler: install it where they may, else say how.
// Programs are looked for in a folder that holds nothing but node, and an apt-get of our own.
import { spawnSync } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { temporaryFolder } from '../checkpoint/helpers.js';

const bareMachine = async (t: ExecutionContext): Promise<string> => {
  const folder = await temporaryFolder(t);
  await symlink(process.execPath, join(folder, 'node'));
  return folder;
};

const tools = (folder: string) =>
  spawnSync(process.execPath, ['scripts/build.mjs', 'tools'], {
    env: { PATH: folder },
    encoding: 'utf8',
  });

const install = 'install -y --no-install-recommends g\\+\\+ cmake ninja-build';

test('without apt-get: what is missing, and no stack', async (t) => {
  const { status, stderr } = tools(await bareMachine(t));
  t.is(status, 1);
  t.regex(stderr, /g\+\+, cmake, ninja-build missing\. Install a C\+\+20 compiler/);
  t.notRegex(stderr, /^ +at /m);
});

test('with apt-get: root installs, others are told the one command', async (t) => {
  const folder = await bareMachine(t);
  const script = '#!/bin/sh\necho "apt-get $*"\n';
  await writeFile(join(folder, 'apt-get'), script, { mode: 0o755 });
  const { status, stdout, stderr } = tools(folder);
  t.is(status, 1);
  t.regex(stderr, new RegExp(`apt-get update && apt-get ${install}`));
  t.notRegex(stderr, /^ +at /m);
  if (process.getuid?.() === 0) {
    t.regex(stdout, new RegExp(`^apt-get update -qq\napt-get ${install}$`, 'm'));
    t.regex(stderr, /still missing/); // ours installs nothing
  } else {
    t.regex(stderr, /sudo sh -c/);
    t.notRegex(stdout, /apt-get/);
  }
});
