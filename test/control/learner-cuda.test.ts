// Learners on CUDA without a GPU, whose kernels the CPU runs (native/cuda/emulation), and what they say
// where there is no device.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { createLearner } from '../../src/control/learner.js';
import { cudaInfo } from '../../src/engine/device.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { runProgram } from '../helpers/programs.js';
import { made, small } from './learner-fixtures.js';

const library = fileURLToPath(
  new URL('../../build/Release/alignlab_cuda_emulated.so', import.meta.url),
);
// The addon alone may have been built (npm test -- FILES); the whole test run builds both.
const emulated = existsSync(library) || process.env.CI !== undefined ? test : test.skip;
const real = cudaInfo().devices.length > 0 ? test : test.skip;

emulated('learners of every algorithm on the emulated device', async (t) => {
  t.timeout(600_000);
  const environment = { ALIGNLAB_CUDA_LIBRARY: library, ALIGNLAB_DEVICE: 'cuda' };
  const { code, stdout, stderr } = await runProgram('cuda-learner.ts', [], environment);
  t.is(code, 0, `${stdout}${stderr}`);
  t.is(stdout.trim().split('\n').length, 7, stdout);
});

real('learners of every algorithm on the GPU of this machine', async (t) => {
  t.timeout(600_000);
  const { code, stdout, stderr } = await runProgram('cuda-learner.ts', [], {
    ALIGNLAB_DEVICE: 'cuda',
  });
  t.is(code, 0, `${stdout}${stderr}`);
});

test('a device that there is not is refused, with the reason', async (t) => {
  const refused = async (device: 'cuda:7' | 'cpu', message: RegExp): Promise<void> => {
    const error = await caught(() => createLearner({ ...small, algorithm: 'sac', device }));
    assertError(t, error, 'DEVICE_UNAVAILABLE', message);
  };
  await refused('cuda:7', /CUDA library|NVIDIA GPU|no device/);
  await refused('tpu' as 'cpu', /"tpu"/);
});

test('the CPU is named as a device', (t) => {
  using learner = made({ algorithm: 'sac', device: 'cpu' });
  t.is(learner.device, 'cpu');
});
