// npm run bench: the four works of the engine beside the peer (transformers and PyTorch), one after
// the other in turns, as medians, rates, shares of the machine's limit and peak memory.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { measureLimits, setThreads, type MachineLimits } from '../src/index.js';
import { amountOf, secondsAtLimit, type Work } from './flops.js';
import { describeMachine } from './machine.js';
import {
  findPeer,
  measureOurs,
  measurePeer,
  median,
  modelFolder,
  type Measured,
  type Peer,
  type Task,
} from './measurement.js';
import { formatTable } from './table.js';

interface Options {
  models: string;
  works: string;
  dtype: string;
  repeats: string;
  rounds: string;
  threads: string;
  python: string;
  peers: string;
  modelHome: string;
  peer: boolean;
  batch?: string;
  passTokens?: string;
  json?: string;
}

const workNames = ['train', 'score', 'generate', 'dpo32', 'dpo192'];
const batchOf: Readonly<Record<string, number>> = { stories15m: 16, smol135m: 4 };
// Activations small beside the model's own memory: a third of it for stories15m, a twentieth for
// smol135m.
const passTokensOf: Readonly<Record<string, number>> = { stories15m: 2048, smol135m: 256 };

function makeWork(name: string, batch: number): Work {
  const shape = { batch, length: 256, prompt: 32, newTokens: 64 };
  if (name === 'train' || name === 'score' || name === 'generate') return { kind: name, ...shape };
  const prompt = /^dpo(\d+)$/.exec(name)?.[1];
  if (prompt === undefined)
    throw new Error(`${name} is no work; there are ${workNames.join(', ')}`);
  return { kind: 'dpo', ...shape, prompt: Number(prompt) };
}

const workName = ({ kind, prompt }: Work): string => (kind === 'dpo' ? `dpo${prompt}` : kind);

const join = (rounds: readonly Measured[]): Measured => ({
  seconds: rounds.flatMap((round) => round.seconds),
  peakMegabytes: Math.max(...rounds.map((round) => round.peakMegabytes)),
});

type Row = Record<string, string | number>;

/** A limit is what was reached at best: a busy moment of the machine only lowers a measurement. */
const better = (a: MachineLimits, b: MachineLimits): MachineLimits => ({
  f32: Math.max(a.f32, b.f32),
  bf16: Math.max(a.bf16, b.bf16),
  bandwidth: Math.max(a.bandwidth, b.bandwidth),
});

/** Ours and the peer's in turns, `rounds` processes of each. */
async function measureRow(
  task: Task,
  peer: Peer | string,
  rounds: number,
  limits: MachineLimits,
): Promise<Row> {
  const ours: Measured[] = [];
  const theirs: Measured[] = [];
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await measureOurs(task));
    if (typeof peer !== 'string') theirs.push(await measurePeer(peer, task));
  }
  const bf16 = task.dtype === 'bfloat16';
  const rate = { flops: bf16 ? limits.bf16 : limits.f32, bandwidth: limits.bandwidth };
  const least = secondsAtLimit(task.folder, task.work, rate, bf16 ? 2 : 4);
  const { amount, unit } = amountOf(task.work);
  const mine = join(ours);
  const { batch } = task.work;
  const row: Row = {
    model: path.basename(task.folder),
    dtype: task.dtype,
    work: workName(task.work),
    batch,
    unit,
    ours: amount / median(mine.seconds),
    ours_share: least / median(mine.seconds),
    ours_peak_mb: mine.peakMegabytes,
  };
  if (theirs.length > 0) {
    const other = join(theirs);
    row.peer = amount / median(other.seconds);
    row.peer_share = least / median(other.seconds);
    row.peer_peak_mb = other.peakMegabytes;
    row.ratio = median(other.seconds) / median(mine.seconds);
    row.memory_ratio = mine.peakMegabytes / other.peakMegabytes;
  }
  return row;
}

async function makeTasks(options: Options, peer: Peer | string): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const name of options.models.split(',')) {
    const folder = await modelFolder(name, path.resolve(options.modelHome), peer);
    const batch = Number(options.batch ?? batchOf[path.basename(folder)] ?? 4);
    for (const dtype of options.dtype.split(',')) {
      if (dtype !== 'float32' && dtype !== 'bfloat16') throw new Error(`no such dtype: ${dtype}`);
      for (const work of options.works.split(',')) {
        const [threads, repeats] = [Number(options.threads), Number(options.repeats)];
        const passTokens = Number(
          options.passTokens ?? passTokensOf[path.basename(folder)] ?? 1024,
        );
        tasks.push({ folder, dtype, threads, repeats, passTokens, work: makeWork(work, batch) });
      }
    }
  }
  return tasks;
}

async function bench(options: Options): Promise<void> {
  const peer = options.peer
    ? await findPeer(options.python, path.resolve(options.peers))
    : 'not asked for (--no-peer)';
  if (typeof peer === 'string') console.log(`THE PEER IS SKIPPED: ${peer}\n`);
  const tasks = await makeTasks(options, peer);
  const machine = describeMachine();
  await setThreads(Number(options.threads));
  let limits = await measureLimits();

  const rows: Row[] = [];
  for (const task of tasks) {
    limits = better(limits, await measureLimits());
    rows.push(await measureRow(task, peer, Number(options.rounds), limits));
    console.log(formatTable(rows.slice(-1), rows.length === 1));
  }
  const giga = (value: number): string => (value / 1e9).toFixed(1);
  console.log(
    `\n${String(machine.cpu)}, ${options.threads} threads; limits measured before each row, the best: ` +
      `${giga(limits.f32)} GFLOP/s fp32, ${giga(limits.bf16)} bf16, ${giga(limits.bandwidth)} GB/s`,
  );
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const out = options.json ?? path.join('bench', 'results', `${stamp}.json`);
  mkdirSync(path.dirname(out), { recursive: true });
  const { threads, repeats, rounds } = options;
  const result = { machine, limits, threads, repeats, rounds, rows };
  writeFileSync(out, `${JSON.stringify(result, undefined, 2)}\n`);
  console.log(`\nwritten: ${out}`);
}

await new Command('bench')
  .description('measures the engine, the peer beside it, and the machine that both run on')
  .option('--models <names>', 'folders, or shapes that make_model.py knows', 'stories15m,smol135m')
  .option('--works <names>', `of ${workNames.join(', ')}`, workNames.join(','))
  .option('--dtype <names>', 'of float32, bfloat16', 'bfloat16,float32')
  .option('--repeats <n>', 'timed runs in one process', '3')
  .option('--rounds <n>', 'processes of ours and of the peer, in turns', '1')
  .option('--threads <n>', 'of both', '2')
  .addOption(
    new Option('--python <path>', 'with torch and transformers')
      .env('ALIGNLAB_PEER_PYTHON')
      .default('python3'),
  )
  .option('--peers <folder>', 'with torch_peer.py and make_model.py', '../shared/peers')
  .option('--model-home <folder>', 'where made models are kept', 'build/models')
  .option('--pass-tokens <n>', 'tokens in one forward and backward pass of ours')
  .option('--batch <n>', 'sequences (default 16 for stories15m, else 4)')
  .option('--no-peer', 'measure ours alone')
  .option('--json <file>', 'default bench/results/<time>.json')
  .action(bench)
  .parseAsync();
