// npm run check-cuda: compiles the CUDA kernels for one architecture or more (default sm_80 and sm_90a)
// where nvcc is, and fails when one that has to be fast keeps registers in memory. Nothing is run:
// this machine needs no GPU. node scripts/check-cuda.mjs [80 90a ...]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { filesBelow } from './lib/native.mjs';
import { main, root } from './lib/run.mjs';

/** Spills that are known, and why they may stay. */
const allowed = [
  // The gradient of queries of 256 values a head: the accumulators alone fill the registers.
  /QueryKernelILi256E/,
];

const compile = (source, architecture, folder) => {
  const flags = ['-std=c++20', '-O3', '--fmad=false', '-Xptxas', '-v', '-I', 'native'];
  const target = `-gencode=arch=compute_${architecture},code=sm_${architecture}`;
  const object = path.join(folder, 'kernel.o');
  return spawnSync('nvcc', [...flags, target, '-c', source, '-o', object], {
    cwd: root,
    encoding: 'utf8',
  });
};

/** [{kernel, registers, spilled}] of ptxas -v. */
const kernelsOf = (log) =>
  log
    .split('Compiling entry function')
    .slice(1)
    .map((part) => ({
      kernel: /'([^']+)'/.exec(part)?.[1] ?? '?',
      registers: Number(/Used (\d+) registers/.exec(part)?.[1] ?? 0),
      spilled: Number(/(\d+) bytes spill stores/.exec(part)?.[1] ?? 0),
    }));

await main(() => {
  if (spawnSync('nvcc', ['--version']).error) {
    console.log('skipped: there is no nvcc here, so no CUDA kernel was compiled');
    return;
  }
  const architectures = process.argv.slice(2);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'alignlab-cuda-'));
  let passed = 0;
  let failed = 0;
  try {
    for (const architecture of architectures.length > 0 ? architectures : ['80', '90a']) {
      for (const source of filesBelow('native/cuda').filter((file) => file.endsWith('.cu'))) {
        const { status, stderr, stdout } = compile(source, architecture, folder);
        const kernels = kernelsOf(`${stdout}${stderr}`);
        const spills = kernels.filter(({ spilled }) => spilled > 0);
        const bad = spills.filter(({ kernel }) => !allowed.some((name) => name.test(kernel)));
        const most = Math.max(0, ...kernels.map(({ registers }) => registers));
        const ok = status === 0 && bad.length === 0;
        if (ok) passed += 1;
        else failed += 1;
        console.log(
          `${ok ? 'ok' : 'not ok'} sm_${architecture} ${source}: ${kernels.length} kernels, at most ` +
            `${most} registers`,
        );
        for (const { kernel, spilled } of spills) {
          console.log(`  ${kernel}: ${spilled} bytes spilled`);
        }
        if (status !== 0) console.log(stderr.slice(0, 2000));
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  console.log(`\n${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
});
