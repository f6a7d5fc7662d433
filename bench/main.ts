// npm run bench: the four works of the engine beside the peer (transformers and PyTorch), one after
// the other in turns, as medians, rates, shares of the machine's limit and peak memory.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { measureLimits, setThreads, type Device, type MachineLimits } from '../src/index.js';
import { type Defaults, defaultsOf } from './defaults.js';
import { amountOf, secondsAtLimit, type Work } from './flops.js';
import { describeMachine } from './machine.js';
import {
  findPeer,
  measureOurs,
  measurePeer,
  median,
  type Measured,
  type Peer,
  type Task,
} from './measurement.js';
import { modelFolder, shapeNames } from './models.js';
import { formatTable } from './table.js';

interface Options {
  device: Device;
  exact: boolean;
  models?: string;
  works?: string;
  dtype?: string;
  repeats: string;
  rounds: string;
  threads: string;
  python: string;
  peers: string;
  modelHome: string;
  peer: boolean;
  compile?: boolean;
  batch?: string;
  length?: string;
  prompt?: string;
  new?: string;
  passTokens?: string;
  json?: string;
}

const workNames = 'train, score, generate, dpo<tokens of the prompt>';

function makeWork(name: string, model: string, options: Options, defaults: Defaults): Work {
  const shape = {
    length: Number(options.length ?? defaults.length),
    prompt: Number(options.prompt ?? defaults.prompt),
    newTokens: Number(options.new ?? defaults.newTokens),
  };
  const batch = (kind: Work['kind']): number =>
    Number(options.batch ?? defaults.batch(model, kind));
  if (name === 'train' || name === 'score' || name === 'generate') {
    return { kind: name, batch: batch(name), ...shape };
  }
  const prompt = Number(/^dpo(\d+)$/.exec(name)?.[1] ?? NaN);
  if (prompt > 0 && prompt < shape.length) {
    return { kind: 'dpo', batch: batch('dpo'), ...shape, prompt };
  }
  throw new Error(`${name} is no work of ${shape.length} tokens; there are ${workNames}`);
}

const workName = ({ kind, prompt }: Work): string => (kind === 'dpo' ? `dpo${prompt}` : kind);

const join = (rounds: readonly Measured[]): Measured => ({
  seconds: rounds.flatMap((round) => round.seconds),
  peakMegabytes: Math.max(...rounds.map((round) => round.peakMegabytes)),
});

type Row = Record<string, string | number | boolean>;

/** A limit is what was reached at best: a busy moment of the machine only lowers a measurement. */
const better = (a: MachineLimits, b: MachineLimits): MachineLimits => ({
  f32: Math.max(a.f32, b.f32),
  bf16: Math.max(a.bf16, b.bf16),
  bandwidth: Math.max(a.bandwidth, b.bandwidth),
});

type OfPeer = Measured & { readonly work: Work };

interface Rounds {
  readonly ours: readonly Measured[];
  readonly theirs: readonly OfPeer[];
  readonly compiled: readonly OfPeer[];
}

/** Ours and the peer's in turns, `rounds` processes of each. */
async function measureRounds(
  task: Task,
  peer: Peer | null,
  compile: boolean,
  rounds: number,
): Promise<Rounds> {
  const ours: Measured[] = [];
  const theirs: OfPeer[] = [];
  const compiled: OfPeer[] = [];
  // Drawing tokens has as many shapes as lengths: a graph for each would take minutes to compile.
  const alsoCompiled = compile && task.work.kind !== 'generate';
  for (let round = 0; round < rounds; round += 1) {
    ours.push(await measureOurs(task));
    if (peer) theirs.push(await measurePeer(peer, task));
    if (peer && alsoCompiled) compiled.push(await measurePeer({ ...peer, compiled: true }, task));
  }
  return { ours, theirs, compiled };
}

function rowOf(task: Task, { ours, theirs, compiled }: Rounds, limits: MachineLimits): Row {
  const bf16 = task.dtype === 'bfloat16';
  const reached = { flops: bf16 ? limits.bf16 : limits.f32, bandwidth: limits.bandwidth };
  const rateOf = (work: Work, { seconds }: Measured) => {
    const least = secondsAtLimit(task.folder, work, reached, bf16 ? 2 : 4);
    return { rate: amountOf(work).amount / median(seconds), share: least / median(seconds) };
  };
  const mine = join(ours);
  const own = rateOf(task.work, mine);
  const row: Row = {
    model: path.basename(task.folder),
    device: task.device,
    exact: task.exact,
    dtype: task.dtype,
    work: workName(task.work),
    batch: task.work.batch,
    unit: amountOf(task.work).unit,
    ours: own.rate,
    ours_share: own.share,
    ours_peak_mb: mine.peakMegabytes,
  };
  const last = theirs.at(-1);
  if (last) {
    const other = join(theirs);
    const { rate, share } = rateOf(last.work, other);
    row.peer = rate;
    row.peer_share = share;
    row.peer_peak_mb = other.peakMegabytes;
    if (last.work.batch !== task.work.batch) row.peer_batch = last.work.batch;
    row.ratio = own.rate / rate;
    row.memory_ratio = mine.peakMegabytes / other.peakMegabytes;
  }
  const lastCompiled = compiled.at(-1);
  if (lastCompiled) {
    const { rate } = rateOf(lastCompiled.work, join(compiled));
    row.compiled = rate;
    row.compiled_ratio = own.rate / rate;
  }
  return row;
}

async function makeTasks(options: Options): Promise<Task[]> {
  const { device, exact } = options;
  const defaults = defaultsOf(device);
  const tasks: Task[] = [];
  for (const name of (options.models ?? defaults.models).split(',')) {
    const folder = await modelFolder(name, path.resolve(options.modelHome));
    const model = path.basename(folder);
    for (const dtype of (options.dtype ?? defaults.dtype).split(',')) {
      if (dtype !== 'float32' && dtype !== 'bfloat16') throw new Error(`no such dtype: ${dtype}`);
      for (const work of (options.works ?? defaults.works).split(',')) {
        const [threads, repeats] = [Number(options.threads), Number(options.repeats)];
        const passTokens = Number(options.passTokens ?? defaults.passTokens(model));
        const common = { folder, device, exact, dtype, threads, repeats, passTokens } as const;
        tasks.push({ ...common, work: makeWork(work, model, options, defaults) });
      }
    }
  }
  return tasks;
}

async function bench(options: Options): Promise<void> {
  const peer = options.peer
    ? await findPeer(options.python, path.resolve(options.peers), options.device)
    : 'not asked for (--no-peer)';
  if (typeof peer === 'string') console.log(`THE PEER IS SKIPPED: ${peer}\n`);
  const { device, exact } = options;
  const compile = options.compile ?? device !== 'cpu';
  await setThreads(Number(options.threads));
  const machine = describeMachine(device);
  let limits = await measureLimits(device);
  const tasks = await makeTasks(options);

  const rows: Row[] = [];
  for (const task of tasks) {
    limits = better(limits, await measureLimits(device));
    const found = typeof peer === 'string' ? null : peer;
    const rounds = await measureRounds(task, found, compile, Number(options.rounds));
    rows.push(rowOf(task, rounds, limits));
    console.log(formatTable(rows.slice(-1), rows.length === 1));
  }
  const giga = (value: number): string => (value / 1e9).toFixed(1);
  console.log(
    `\n${device === 'cpu' ? `${String(machine.cpu)}, ${options.threads} threads` : device}` +
      `${exact ? '' : ', not exact'}; limits measured before each row, the best: ` +
      `${giga(limits.f32)} GFLOP/s fp32, ${giga(limits.bf16)} bf16, ${giga(limits.bandwidth)} GB/s`,
  );
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  const out = options.json ?? path.join('bench', 'results', `${stamp}.json`);
  mkdirSync(path.dirname(out), { recursive: true });
  const { threads, repeats, rounds } = options;
  const result = { machine, device, exact, limits, threads, repeats, rounds, rows };
  writeFileSync(out, `${JSON.stringify(result, undefined, 2)}\n`);
  console.log(`\nwritten: ${out}`);
}

await new Command('bench')
  .description('measures the engine, the peer beside it, and the machine that both run on')
  .option('--device <name>', 'of both: cpu, cuda', 'cpu')
  .option('--no-exact', 'ours need not be exact: on a GPU by cuBLASLt, or what else is faster')
  .option('--models <names>', `folders, or shapes: ${shapeNames.join(', ')} (default by device)`)
  .option('--works <names>', `of ${workNames} (default by device)`)
  .option('--dtype <names>', 'of float32, bfloat16 (default both; on a GPU bfloat16)')
  .option('--repeats <n>', 'timed runs in one process', '3')
  .option('--rounds <n>', 'processes of ours and of the peer, in turns', '1')
  .option('--threads <n>', 'of both', '2')
  .addOption(
    new Option('--python <path>', 'with torch and transformers')
      .env('ALIGNLAB_PEER_PYTHON')
      .default('python3'),
  )
  .option('--peers <folder>', 'with torch_peer.py', '../shared/peers')
  .option('--model-home <folder>', 'where made models are kept', 'build/models')
  .option('--pass-tokens <n>', 'tokens in one forward and backward pass of ours')
  .option('--batch <n>', 'sequences, or pairs (default by device and work, in bench/defaults.ts)')
  .option('--length <n>', 'tokens of a sequence that is trained on or scored (256; on a GPU 1024)')
  .option('--prompt <n>', 'tokens of the prompts of generate (32; on a GPU 384)')
  .option('--new <n>', 'tokens that generate draws (64; on a GPU 256)')
  .option('--no-peer', 'measure ours alone')
  .option('--compile', 'the peer by torch.compile, too, but for generate (default on a GPU)')
  .option('--no-compile', 'not by torch.compile')
  .option('--json <file>', 'default bench/results/<time>.json')
  .action(bench)
  .parseAsync();
