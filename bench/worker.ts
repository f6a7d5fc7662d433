// One measurement of ours in a process of its own: one run to warm up, then the timed ones. Prints
// one line of JSON.
import { cudaInfo } from '../src/index.js';
import type { Measured, Task } from './measurement.js';
import { prepare } from './work.js';

const task = JSON.parse(process.argv[2] ?? '') as Task;
const step = await prepare(task);
await step();
const seconds: number[] = [];
for (let i = 0; i < task.repeats; i += 1) {
  const start = performance.now();
  await step();
  seconds.push((performance.now() - start) / 1000);
}
const gpu = /^cuda(?::(\d+))?$/.exec(task.device);
// Of the device, what was allocated at most; of the CPU, what was resident.
const peakBytes = gpu
  ? (cudaInfo().devices[Number(gpu[1] ?? 0)]?.peakBytes ?? 0)
  : process.resourceUsage().maxRSS * 1024;
const peakMegabytes = Math.round(peakBytes / 2 ** 20);
console.log(JSON.stringify({ seconds, peakMegabytes } satisfies Measured));
process.exit(0);
