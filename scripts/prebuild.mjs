// npm run make-prebuilds (npm would run a script called "prebuild" before every build): makes
// prebuilds/<platform>/ with prebuildify. It works on a copy, because node-gyp deletes the whole
// build/ folder of the tree that it builds in. A CUDA library that was built before
// (npm run build:cuda) goes beside the addon, which looks for it there.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensurePackages, ensureTools } from './lib/prepare.mjs';
import { Failure, main, output, root, run, tool } from './lib/run.mjs';

// node-gyp downloads Node's headers even for a target that needs none, unless it is told where they
// are. A Node installation usually has them beside its binary.
function headersOfThisNode() {
  const prefix = path.dirname(path.dirname(process.execPath));
  return existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : undefined;
}

function packCudaLibrary() {
  const name = 'alignlab_cuda.so';
  const built = path.join(root, 'build/Release', name);
  if (!existsSync(built)) {
    console.log(`${name} is left out of the prebuilds: it has not been built`);
    return;
  }
  process.env.ALIGNLAB_CUDA_LIBRARY = built;
  const script = "console.log(require('node-gyp-build')('.').cuda().reason)";
  if (/another build/.test(output(process.execPath, ['-e', script]) ?? '')) {
    throw new Failure(`${built} is of other sources than the addon. Build it anew, or remove it.`);
  }
  const platforms = readdirSync(path.join(root, 'prebuilds')).filter((folder) =>
    folder.startsWith(`${process.platform}-${process.arch}`),
  );
  for (const platform of platforms) {
    copyFileSync(built, path.join(root, 'prebuilds', platform, name));
    console.log(`prebuilds/${platform}/${name}: beside the addon`);
  }
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
  packCudaLibrary();
});
