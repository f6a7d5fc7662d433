// A study on several worker threads. Each goes through all tasks, and so asks for all stages; a
// broker here lets one thread run a stage while the others wait for it or run another one.
import { Worker, parentPort, workerData } from 'node:worker_threads';
import { AlignlabError, type ErrorCode, errorCodes } from '../errors.js';
import { Broker, type Grant } from './broker.js';
import { type StageEvent, type StageGate, abortedError } from './study.js';

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly stack: string;
}

type FromWorker =
  | { readonly kind: 'want'; readonly key: string; readonly weight: number }
  | { readonly kind: 'ended'; readonly key: string; readonly finished: boolean }
  | { readonly kind: 'event'; readonly event: StageEvent }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'done' };

type ToWorker = Grant | { readonly kind: 'abort' };

export interface WorkersOptions {
  /** A module that calls `serve`. */
  readonly module: URL;
  /** What its tasks are made of: plain values. */
  readonly data: unknown;
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: StageEvent) => void) | undefined;
}

const errorOf = ({ code, message, stack }: Failure): Error => {
  const known = errorCodes.find((each: ErrorCode) => each === code);
  const error = known ? new AlignlabError(known, message) : new Error(message);
  error.stack = stack;
  return error;
};

/**
 * Ends when all threads have ended. Throws what the first of them failed with, after the others
 * have been stopped; ABORTED.
 */
export const runWorkers = async (options: WorkersOptions): Promise<void> => {
  const { module, data, threads, signal, onEvent } = options;
  let failure: Error | null = null;
  const workers = Array.from({ length: threads }, () => new Worker(module, { workerData: data }));
  const tell = (thread: number, message: ToWorker): void => {
    workers[thread]!.postMessage(message);
  };
  const broker = new Broker(threads, tell);
  const stop = (): void => {
    workers.forEach((_, thread) => {
      tell(thread, { kind: 'abort' });
    });
  };
  const fail = (error: Error): void => {
    failure ??= error;
    stop();
  };
  const ended = workers.map(
    (worker, thread) =>
      new Promise<void>((resolve) => {
        let done = false;
        worker.on('message', (message: FromWorker) => {
          if (message.kind === 'want') broker.want(thread, message.key, message.weight);
          else if (message.kind === 'ended') broker.ended(message.key, message.finished);
          else if (message.kind === 'event') onEvent?.(message.event);
          else if (message.kind === 'failed') fail(errorOf(message.failure));
          else done = true;
        });
        worker.on('error', fail);
        worker.on('exit', (code) => {
          if (!done) fail(new AlignlabError('INTERNAL', `A worker thread ended with ${code}.`));
          resolve();
        });
      }),
  );
  signal?.addEventListener('abort', stop);
  if (signal?.aborted) stop();
  await Promise.all(ended);
  signal?.removeEventListener('abort', stop);
  if (signal?.aborted) throw abortedError();
  // TypeScript does not see that callbacks set it.
  const first = failure as Error | null;
  if (first) throw first;
};

export interface Served {
  /** As options of a study. */
  readonly gate: StageGate;
  readonly signal: AbortSignal;
  readonly onEvent: (event: StageEvent) => void;
}

type Task = () => Promise<unknown>;

interface Waiting {
  readonly resolve: (run: boolean) => void;
  readonly reject: (reason: unknown) => void;
}

const failureOf = (cause: unknown): Failure => {
  const error = cause instanceof Error ? cause : new Error(String(cause));
  const code = 'code' in error ? String(error.code) : '';
  return { code, message: error.message, stack: error.stack ?? error.message };
};

/** In a worker thread: does all tasks that `prepare` makes of the data, at the same time. */
export const serve = async (
  prepare: (data: unknown, served: Served) => Promise<readonly Task[]>,
): Promise<void> => {
  const port = parentPort!;
  const send = (message: FromWorker): void => {
    port.postMessage(message);
  };
  const controller = new AbortController();
  const waiting = new Map<string, Waiting>();
  port.on('message', ({ kind, ...message }: ToWorker) => {
    if (kind !== 'abort' && 'key' in message) {
      waiting.get(message.key)?.resolve(kind === 'run');
      waiting.delete(message.key);
      return;
    }
    controller.abort();
    for (const { reject } of waiting.values()) reject(abortedError());
    waiting.clear();
  });
  const gate: StageGate = async ({ key, weight }, run) => {
    if (controller.signal.aborted) throw abortedError();
    const mine = await new Promise<boolean>((resolve, reject) => {
      waiting.set(key, { resolve, reject });
      send({ kind: 'want', key, weight });
    });
    if (!mine) return;
    let finished = false;
    try {
      await run();
      finished = true;
    } finally {
      send({ kind: 'ended', key, finished });
    }
  };
  const onEvent = (event: StageEvent): void => {
    send({ kind: 'event', event });
  };
  const report = (cause: unknown): void => {
    if (!controller.signal.aborted) send({ kind: 'failed', failure: failureOf(cause) });
  };
  try {
    const tasks = await prepare(workerData, { gate, signal: controller.signal, onEvent });
    await Promise.all(tasks.map((task) => task().catch(report)));
  } catch (cause) {
    report(cause);
  }
  send({ kind: 'done' });
  port.close();
};
