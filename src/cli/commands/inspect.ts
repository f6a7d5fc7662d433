// alignlab inspect: what this machine offers, and what a checkpoint is and needs.
import { Command } from 'commander';
import { type Checkpoint, readCheckpoint } from '../../checkpoint/checkpoint.js';
import {
  type CudaInfo,
  type Device,
  type DeviceName,
  type EngineInfo,
  cudaInfo,
  engineInfo,
} from '../../engine/device.js';
import type { Dtype } from '../../engine/load.js';
import { LanguageModel } from '../../engine/model.js';
import { packageVersion } from '../../version.js';
import { bytes, count, number, print, table } from '../output.js';

interface Options {
  readonly tokens: number;
  readonly dtype?: Dtype;
  readonly json?: boolean;
}

const machineLines = (info: EngineInfo): string[][] => [
  ['alignlab', packageVersion],
  [
    'instruction sets',
    info.instructionSets
      .map(({ name, supported }) => {
        if (name === info.instructionSet) return `${name} (in use)`;
        return supported ? name : `${name} (not on this processor)`;
      })
      .join(', '),
  ],
  ['threads', `${info.threads} of ${info.hardwareThreads}`],
];

const gpuLines = ({ devices, reason }: CudaInfo): string[][] =>
  devices.length === 0
    ? [['cuda', `none: ${reason}`]]
    : devices.flatMap(({ name, capability, freeBytes, totalBytes, fast }, i) => [
        [
          `cuda:${i}`,
          `${name}, compute capability ${capability}, ${bytes(freeBytes)} of ${bytes(totalBytes)} free`,
        ],
        [
          '  exact: false',
          fast === null
            ? 'changes nothing: there is no cuBLASLt (ALIGNLAB_CUBLASLT names its file)'
            : `multiplies by ${fast}, faster and without the same bits`,
        ],
      ]);

const checkpointLines = (checkpoint: Checkpoint): string[][] => {
  const { shape, family } = checkpoint;
  const heads =
    shape.heads === shape.kvHeads
      ? `${shape.heads} heads`
      : `${shape.heads} heads, ${shape.kvHeads} for keys and values`;
  return [
    ['checkpoint', checkpoint.folder],
    ['family', family.modelType],
    ['parameters', `${count(checkpoint.parameters)} (${checkpoint.dtype})`],
    ['layers', `${shape.layers} of width ${shape.width}, MLP ${shape.mlpWidth}`],
    ['attention', `${heads}, head dimension ${shape.headDim}`],
    ['vocabulary', `${count(shape.vocab)}${shape.tiedHead ? ', head tied to the embedding' : ''}`],
    ['positions', count(shape.maxPosition)],
    ...(shape.scalarOutputs > 0 ? [['scalar head', `${shape.scalarOutputs} outputs`]] : []),
  ];
};

interface Need {
  readonly score: number;
  readonly train: number;
  readonly trainWithRecompute: number;
}

interface Pass {
  readonly device: Device;
  readonly dtype: Dtype;
  readonly tokens: number;
}

const needOf = async (folder: string, base: Pass): Promise<Need> => {
  const full = await LanguageModel.estimateMemory(folder, base);
  const frozen = await LanguageModel.estimateMemory(folder, { ...base, trainable: false });
  const recomputed = await LanguageModel.estimateMemory(folder, { ...base, recompute: true });
  const state = full.weights + full.gradients + full.moments;
  return {
    score: frozen.weights + frozen.score,
    train: state + full.training,
    trainWithRecompute: state + recomputed.training,
  };
};

interface Fit {
  readonly device: DeviceName;
  readonly freeBytes: number;
  /** Tokens of a pass; 0 where the model itself does not fit. */
  readonly tokens: Need;
}

/**
 * What a device has room for, but for the scratch memory of single operations: past the positions of
 * a model, its need grows with the tokens alone.
 */
const fits = async (folder: string, dtype: Dtype, { devices }: CudaInfo): Promise<Fit[]> => {
  const [few, more] = [1 << 20, 2 << 20];
  const results: Fit[] = [];
  for (const [i, { freeBytes }] of devices.entries()) {
    const device: DeviceName = `cuda:${i}`;
    const low = await needOf(folder, { device, dtype, tokens: few });
    const high = await needOf(folder, { device, dtype, tokens: more });
    const room = (key: keyof Need): number => {
      const each = (high[key] - low[key]) / (more - few);
      return Math.max(0, Math.floor(few + (freeBytes - low[key]) / each));
    };
    const tokens = {
      score: room('score'),
      train: room('train'),
      trainWithRecompute: room('trainWithRecompute'),
    };
    results.push({ device, freeBytes, tokens });
  }
  return results;
};

const estimates = async (
  folder: string,
  checkpoint: Checkpoint,
  { tokens, dtype: asked, cuda }: Options & { readonly cuda: CudaInfo },
) => {
  const dtype: Dtype = asked ?? (checkpoint.dtype === 'F32' ? 'f32' : 'bf16');
  const need = await needOf(folder, { device: 'cpu', dtype, tokens });
  return { dtype, tokens, ...need, fits: await fits(folder, dtype, cuda) };
};

const purposes: Readonly<Record<keyof Need, string>> = {
  score: 'score',
  train: 'train with AdamW',
  trainWithRecompute: 'train, recompute',
};

const purposeLines = (need: Need, say: (value: number) => string): string =>
  table(
    Object.entries(purposes).map(([key, name]) => [name, say(need[key as keyof Need])]),
    '  ',
  );

const tokensThatFit = (tokens: number): string =>
  tokens === 0 ? 'does not fit' : `${count(tokens)} tokens a pass`;

export const inspectCommand = new Command('inspect')
  .description('show the machine and, given a checkpoint, what it is and how much memory it needs')
  .argument('[checkpoint]', 'a Hugging Face folder')
  .option('--tokens <n>', 'tokens per pass for the memory estimate', number, 4096)
  .option('--dtype <dtype>', 'f32 or bf16; default as the checkpoint')
  .option('--json', 'print one JSON object')
  .action(async (folder: string | undefined, options: Options) => {
    const info = engineInfo();
    const cuda = cudaInfo();
    const checkpoint = folder === undefined ? null : await readCheckpoint(folder);
    const memory =
      folder === undefined || !checkpoint
        ? null
        : await estimates(folder, checkpoint, { ...options, cuda });
    if (options.json) {
      const { family, shape, parameters, dtype } = checkpoint ?? {};
      const model = checkpoint && { family: family?.modelType, parameters, dtype, shape };
      print(JSON.stringify({ version: packageVersion, ...info, cuda, checkpoint: model, memory }));
      return;
    }
    print(table([...machineLines(info), ...gpuLines(cuda)]));
    if (!checkpoint || !memory) return;
    print('');
    print(table(checkpointLines(checkpoint)));
    print('');
    print(`memory in ${memory.dtype}, ${count(memory.tokens)} tokens a pass`);
    print(purposeLines(memory, bytes));
    for (const { device, freeBytes, tokens } of memory.fits) {
      print(`fits into the ${bytes(freeBytes)} that ${device} has free`);
      print(purposeLines(tokens, tokensThatFit));
    }
  });
