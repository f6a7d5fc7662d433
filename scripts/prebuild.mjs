// npm run make-prebuilds (npm would run a script called "prebuild" before every build): makes
// prebuilds/<platform>/ with prebuildify. It works on a copy, because node-gyp deletes the whole
// build/ folder of the tree that it builds in.
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensurePackages, ensureTools } from './lib/prepare.mjs';
import { main, root, run, tool } from './lib/run.mjs';

// node-gyp downloads Node's headers even for a target that needs none, unless it is told where they
// are. A Node installation usually has them beside its binary.
function headersOfThisNode() {
  const prefix = path.dirname(path.dirname(process.execPath));
  return existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}

await main(() => {
  ensurePackages();
  ensureTools({ nodeGyp: true });
  const copy = mkdtempSync(path.join(os.tmpdir(), 'alignlab-prebuild-'));
  try {
    for (const name of ['package.json', 'binding.gyp', 'CMakeLists.txt', 'cmake', 'native']) {
      cpSync(path.join(root, name), path.join(copy, name), { recursive: true });
    }
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    rmSync(path.join(root, 'prebuilds'), { recursive: true, force: true });
    const headers = headersOfThisNode();
    run(tool('prebuildify'), ['--napi', '--strip', '--tag-libc', '--out', root], {
      cwd: copy,
      env: {
        PREBUILD_NODE_GYP: tool('node-gyp'),
        ...(headers && !process.env.npm_config_nodedir ? { npm_config_nodedir: headers } : {}),
      },
    });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
});
