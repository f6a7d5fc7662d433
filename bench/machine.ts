// What a result was measured on.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { type Device, cudaInfo } from '../src/index.js';

const interestingFlags = /^(avx2|fma|f16c|avx512\w+|avx_vnni|amx\w+)$/;

function cpuFlags(): string[] {
  try {
    const line = /^flags\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
    return line.split(' ').filter((flag) => interestingFlags.test(flag));
  } catch {
    return []; // not Linux
  }
}

function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

/** The GPU that is measured; undefined for the CPU. */
function describeGpu(device: Device): Record<string, unknown> {
  if (device === 'cpu') return {};
  const gpu = cudaInfo().devices[Number(/\d+$/.exec(device)?.[0] ?? 0)];
  if (!gpu) return {};
  const { name, capability, multiprocessors, totalBytes, fast } = gpu;
  const megabytes = Math.round(totalBytes / 2 ** 20);
  return { gpu: { name, capability, multiprocessors, megabytes, fast } };
}

export function describeMachine(device: Device): Record<string, unknown> {
  return {
    ...describeGpu(device),
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    flags: cpuFlags(),
    cores: os.availableParallelism(),
    memory_gb: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    load_before: os.loadavg()[0],
    commit: commit(),
    date: new Date().toISOString(),
  };
}
