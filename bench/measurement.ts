// One measurement: a work of a model in a process of its own, ours or the peer's, so that the peak
// of its resident memory is that work's alone.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Device } from '../src/index.js';
import type { Work } from './flops.js';

type Dtype = 'float32' | 'bfloat16';

export interface Task {
  readonly folder: string;
  readonly device: Device;
  readonly exact: boolean;
  readonly dtype: Dtype;
  readonly threads: number;
  readonly repeats: number;
  /**
   * Tokens in one forward and backward pass of ours. The passes' gradients add up to the batch's,
   * so this is a choice of memory alone, as gradient accumulation is.
   */
  readonly passTokens: number;
  readonly work: Work;
}

export interface Measured {
  readonly seconds: readonly number[];
  /** Of the device's memory, or of the process where the device is the CPU. */
  readonly peakMegabytes: number;
}

/** The last line of JSON that a program prints, or an Error with what it said. */
async function lastJson(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let printed = '';
  let complaints = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const line = printed.trim().split('\n').at(-1) ?? '';
  if (code !== 0 || !line.startsWith('{')) {
    throw new Error(`${command} ended with ${String(code)}:\n${complaints.slice(-2000)}`);
  }
  return JSON.parse(line);
}

export async function measureOurs(task: Task): Promise<Measured> {
  const worker = fileURLToPath(new URL('worker.js', import.meta.url));
  const env = { ALIGNLAB_THREADS: String(task.threads) };
  return (await lastJson(process.execPath, [worker, JSON.stringify(task)], env)) as Measured;
}

interface PeerLine {
  readonly seconds: readonly number[];
  readonly peak_mb: number;
}

export interface Peer {
  readonly python: string;
  readonly folder: string; // of torch_peer.py
  /** Its models go through torch.compile. */
  readonly compiled?: boolean;
}

const compiler = fileURLToPath(new URL('compiled_peer.py', import.meta.url));

/** torch's name of a device. */
const kindOf = (device: Device): string => (device.startsWith('cuda') ? 'cuda' : 'cpu');

const visible = (device: Device): Record<string, string> => {
  const number = /^cuda:(\d+)$/.exec(device)?.[1];
  return number === undefined ? {} : { CUDA_VISIBLE_DEVICES: number };
};

/**
 * The peer's whole batch goes through at once, with all its logits: where the device has not got the
 * memory, the batch is halved. Its rate is that of the batch that it could do.
 */
export async function measurePeer(peer: Peer, task: Task): Promise<Measured & { work: Work }> {
  for (let { work } = task; ; work = { ...work, batch: Math.floor(work.batch / 2) }) {
    try {
      return { work, ...(await runPeer(peer, { ...task, work })) };
    } catch (error) {
      if (work.batch < 2 || !/out of memory/i.test(String(error))) throw error;
    }
  }
}

async function runPeer(peer: Peer, task: Task): Promise<Measured> {
  const { batch, length, prompt, newTokens, kind } = task.work;
  const options = { batch, length, prompt, new: newTokens, threads: task.threads, work: kind };
  const args = [
    ...(peer.compiled ? [compiler] : []),
    ...[path.join(peer.folder, 'torch_peer.py'), task.folder],
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...['--device', kindOf(task.device), '--dtype', task.dtype, '--repeats', String(task.repeats)],
  ];
  const line = (await lastJson(peer.python, args, visible(task.device))) as PeerLine;
  return { seconds: line.seconds, peakMegabytes: line.peak_mb };
}

/** The peer, or the reason why there is none. */
export async function findPeer(
  python: string,
  folder: string,
  device: Device,
): Promise<Peer | string> {
  if (!existsSync(path.join(folder, 'torch_peer.py'))) return `no torch_peer.py in ${folder}`;
  try {
    const check =
      'import torch, transformers, json; print(json.dumps({"cuda": torch.cuda.is_available()}))';
    const { cuda } = (await lastJson(python, ['-c', check])) as { cuda: boolean };
    if (kindOf(device) === 'cuda' && !cuda) return `the torch of ${python} sees no GPU`;
    return { python, folder };
  } catch {
    return `${python} does not import torch and transformers (--python PATH)`;
  }
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
