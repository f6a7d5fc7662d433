// The thread of a vectorised environment: makes its instances, then answers requests one by one.
import { parentPort, workerData } from 'node:worker_threads';
import { Instances } from './instances.js';
import type { Reply, Request, Share } from './vector-messages.js';

const port = parentPort!;
const reply = (message: Reply): void => {
  port.postMessage(message);
};

const fail = (cause: unknown): void => {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'INTERNAL';
  reply({ kind: 'failed', code, message: cause instanceof Error ? cause.message : String(cause) });
};

try {
  const instances = await Instances.make(workerData as Share);
  port.on('message', (request: Request) => {
    try {
      const state = instances.handle(request);
      reply({ kind: 'done', ...(state ? { state } : {}) });
    } catch (cause) {
      fail(cause);
    }
  });
  reply({ kind: 'ready', spec: instances.envs[0]!.spec });
} catch (cause) {
  fail(cause);
}
