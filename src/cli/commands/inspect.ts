// alignlab inspect: what this machine offers, and what a checkpoint is and needs.
import { Command } from 'commander';
import { type Checkpoint, readCheckpoint } from '../../checkpoint/checkpoint.js';
import { type CudaInfo, type EngineInfo, cudaInfo, engineInfo } from '../../engine/device.js';
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

const estimates = async (folder: string, checkpoint: Checkpoint, { tokens, dtype }: Options) => {
  const chosen: Dtype = dtype ?? (checkpoint.dtype === 'F32' ? 'f32' : 'bf16');
  const base = { dtype: chosen, tokens };
  const full = await LanguageModel.estimateMemory(folder, base);
  const frozen = await LanguageModel.estimateMemory(folder, { ...base, trainable: false });
  const recomputed = await LanguageModel.estimateMemory(folder, { ...base, recompute: true });
  const state = full.weights + full.gradients + full.moments;
  return {
    dtype: chosen,
    tokens,
    score: frozen.weights + frozen.score,
    train: state + full.training,
    trainWithRecompute: state + recomputed.training,
  };
};

export const inspectCommand = new Command('inspect')
  .description('show the machine and, given a checkpoint, what it is and how much memory it needs')
  .argument('[checkpoint]', 'a Hugging Face folder')
  .option('--tokens <n>', 'tokens per pass for the memory estimate', number, 4096)
  .option('--dtype <dtype>', 'f32 or bf16; default as the checkpoint')
  .option('--json', 'print one JSON object')
  .action(async (folder: string | undefined, options: Options) => {
    const info = engineInfo();
    const checkpoint = folder === undefined ? null : await readCheckpoint(folder);
    const memory =
      folder === undefined || !checkpoint ? null : await estimates(folder, checkpoint, options);
    if (options.json) {
      const { family, shape, parameters, dtype } = checkpoint ?? {};
      const model = checkpoint && { family: family?.modelType, parameters, dtype, shape };
      const cuda = cudaInfo();
      print(JSON.stringify({ version: packageVersion, ...info, cuda, checkpoint: model, memory }));
      return;
    }
    print(table([...machineLines(info), ...gpuLines(cudaInfo())]));
    if (!checkpoint || !memory) return;
    print('');
    print(table(checkpointLines(checkpoint)));
    print('');
    print(`memory in ${memory.dtype}, ${count(memory.tokens)} tokens a pass`);
    print(
      table(
        [
          ['score', bytes(memory.score)],
          ['train with AdamW', bytes(memory.train)],
          ['train, recompute', bytes(memory.trainWithRecompute)],
        ],
        '  ',
      ),
    );
  });
