// The CUDA backend without a GPU: its kernels run on the CPU, thread by thread (native/cuda/emulation),
// in a library that the addon opens like the real one. Slow, so models are tiny; memory of the device
// is locked while no kernel runs, so that code of the host which reads it stops at once.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { cudaInfo } from '../../src/engine/device.js';
import { LanguageModel } from '../../src/engine/model.js';
import { AlignlabError } from '../../src/errors.js';
import { smallConfig } from '../checkpoint/helpers.js';
import { golden } from '../helpers/models.js';
import { runProgram } from '../helpers/programs.js';

const library = fileURLToPath(
  new URL('../../build/Release/alignlab_cuda_emulated.so', import.meta.url),
);
// The addon alone may have been built (npm test -- FILES); the whole test run builds both.
const emulated = existsSync(library) || process.env.CI !== undefined ? test : test.skip;

const onCuda = (program: string) =>
  runProgram(program, [], { ALIGNLAB_CUDA_LIBRARY: library, ALIGNLAB_DEVICE: 'cuda' });

// Where there is a GPU and the library for it, the same there; npm run gpu-check runs more.
const real = cudaInfo().devices.length > 0 ? test : test.skip;
for (const program of ['cuda-agreement.ts', 'cuda-fast.ts']) {
  real(`${program} on the GPU of this machine`, async (t) => {
    t.timeout(600_000);
    const { code, stdout, stderr } = await runProgram(program, [], { ALIGNLAB_DEVICE: 'cuda' });
    t.is(code, 0, `${stdout}${stderr}`);
  });
}

emulated('four families in both dtypes: exact, and near the CPU', async (t) => {
  t.timeout(600_000);
  const { code, stdout, stderr } = await onCuda('cuda-agreement.ts');
  t.is(code, 0, `${stdout}${stderr}`);
  t.is(stdout.trim().split('\n').length, 9, stdout);
});

emulated('a model that need not be exact says so, and training measures it', async (t) => {
  t.timeout(600_000);
  const { code, stdout, stderr } = await onCuda('cuda-fast.ts');
  t.is(code, 0, `${stdout}${stderr}`);
});

emulated('inspect says what the device has, and what fits', async (t) => {
  const args = ['inspect', golden('llama'), '--json'];
  const environment = { ALIGNLAB_CUDA_LIBRARY: library };
  const { code, stdout, stderr } = await runProgram('../../../src/cli/main.ts', args, environment);
  t.is(code, 0, stderr);
  const { cuda, memory } = JSON.parse(stdout) as {
    cuda: { devices: { name: string; fast: string; freeBytes: number }[] };
    memory: { fits: { device: string; freeBytes: number; tokens: Record<string, number> }[] };
  };
  t.like(cuda.devices[0], { name: 'emulated on the CPU', fast: 'cuBLASLt 13.1.1' });
  const [{ device, freeBytes, tokens }] = memory.fits as [(typeof memory.fits)[0]];
  t.is(device, 'cuda:0');
  t.true(tokens.score! > tokens.trainWithRecompute! && tokens.trainWithRecompute! > tokens.train!);
  // Of the CPU's layout, whose keys and values are as large in f32: nearly as many bytes.
  const options = { device: 'cpu', dtype: 'f32', tokens: tokens.train! } as const;
  const { weights, gradients, moments, training } = await LanguageModel.estimateMemory(
    golden('llama'),
    options,
  );
  t.true(Math.abs((weights + gradients + moments + training) / freeBytes - 1) < 0.01);
});

test('on the CPU a model is exact, also where it need not be', async (t) => {
  await using model = await LanguageModel.create(smallConfig('llama'), {
    device: 'cpu',
    exact: false,
  });
  t.true(model.exact);
  const exact = 'no' as unknown as boolean;
  const error = await t.throwsAsync(LanguageModel.create(smallConfig('llama'), { exact }), {
    instanceOf: AlignlabError,
  });
  t.is(error.code, 'OPTION_INVALID');
  t.regex(error.message, /exact must be true or false/);
});

test('without a library or a GPU the device is refused, with the reason', async (t) => {
  const error = await t.throwsAsync(
    LanguageModel.create(smallConfig('llama'), { device: 'cuda:7' }),
    {
      instanceOf: AlignlabError,
    },
  );
  t.is(error.code, 'DEVICE_UNAVAILABLE');
  t.regex(error.message, /CUDA library|NVIDIA GPU|no device/);
  const { reason, devices } = cudaInfo();
  t.is(reason === '', devices.length > 0);
});

test('a device that there is not is refused by its name', async (t) => {
  const device = 'tpu' as 'cpu';
  const error = await t.throwsAsync(LanguageModel.create(smallConfig('llama'), { device }), {
    instanceOf: AlignlabError,
  });
  t.is(error.code, 'DEVICE_UNAVAILABLE');
  t.regex(error.message, /"tpu"/);
});
