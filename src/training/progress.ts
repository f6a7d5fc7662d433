// What a person sees of a run: one bar on a terminal, a line every so many steps elsewhere. It reads
// the clock, and nothing of the run reads it.
import cliProgress from 'cli-progress';
import { AlignlabError } from '../errors.js';
import type { TrainStep } from './run.js';

export interface ProgressOptions {
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps made before, of a resumed run. */
  readonly fromStep?: number;
  /** Where there is no terminal, a line is written every so many steps. Default 10. */
  readonly loggingSteps?: number;
  /** Default standard error, which leaves standard output to results. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/** 75 → '1:15', 3675 → '1:01:15'. */
export const clock = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n: number): string => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
};

/** Steps that the rates look back on: enough to be steady, few enough to follow a change. */
const span = 32;

/** Rates over the last steps. */
export class Speed {
  readonly #recent: { readonly tokens: number; readonly seconds: number }[] = [];
  #tokens: number | undefined;

  add({ tokens, seconds }: Pick<TrainStep, 'tokens' | 'seconds'>): void {
    // `tokens` counts from the start of the run: of the first step that is seen after a resumption,
    // its own number is not known.
    if (this.#tokens !== undefined) {
      this.#recent.push({ tokens: tokens - this.#tokens, seconds });
      if (this.#recent.length > span) this.#recent.shift();
    }
    this.#tokens = tokens;
  }

  get tokensPerSecond(): number {
    const { tokens, seconds } = this.#sums();
    return tokens / seconds;
  }

  get secondsPerStep(): number {
    return this.#sums().seconds / this.#recent.length;
  }

  #sums(): { tokens: number; seconds: number } {
    return this.#recent.reduce(
      (sum, step) => ({ tokens: sum.tokens + step.tokens, seconds: sum.seconds + step.seconds }),
      { tokens: 0, seconds: 0 },
    );
  }
}

const rate = (value: number): string => {
  if (!Number.isFinite(value)) return '-';
  return value >= 10_000 ? `${(value / 1000).toFixed(0)}k` : value.toFixed(0);
};

/** What people watch besides the loss, which of a policy gradient says nothing; the first that is there. */
const headlines = [
  { label: 'reward', names: ['reward', 'objective/scores'] },
  { label: 'accuracy', names: ['rewards/accuracies', 'accuracy'] },
  { label: 'kl', names: ['kl', 'objective/kl'] },
] as const;

/** Means over the steps since the last line. */
class Means {
  readonly #sums = new Map<string, { sum: number; count: number }>();

  add({ loss, metrics }: TrainStep): void {
    this.#add('loss', loss);
    for (const { label, names } of headlines) {
      const name = names.find((each) => metrics[each] !== undefined);
      if (name !== undefined) this.#add(label, metrics[name]!);
    }
  }

  /** 'loss 0.6931  accuracy 0.5000', and begins anew. */
  take(): string {
    const parts = [...this.#sums].map(
      ([label, { sum, count }]) => `${label} ${(sum / count).toPrecision(4)}`,
    );
    this.#sums.clear();
    return parts.join('  ');
  }

  #add(label: string, value: number): void {
    const { sum, count } = this.#sums.get(label) ?? { sum: 0, count: 0 };
    this.#sums.set(label, { sum: sum + value, count: count + 1 });
  }
}

export class Progress {
  readonly #means = new Means();
  readonly #steps: number;
  readonly #loggingSteps: number;
  readonly #stream: NonNullable<ProgressOptions['stream']>;
  readonly #speed = new Speed();
  readonly #bar: cliProgress.SingleBar | undefined;

  constructor({ steps, fromStep = 0, loggingSteps = 10, stream }: ProgressOptions) {
    if (!Number.isSafeInteger(loggingSteps) || loggingSteps < 1) {
      throw new AlignlabError(
        'OPTION_INVALID',
        `loggingSteps must be a whole number of steps, 1 or more, got ${String(loggingSteps)}.`,
      );
    }
    this.#steps = steps;
    this.#loggingSteps = loggingSteps;
    this.#stream = stream ?? process.stderr;
    if (fromStep === 0) this.#speed.add({ tokens: 0, seconds: 0 });
    if (this.#stream.isTTY !== true) return;
    this.#bar = new cliProgress.SingleBar({
      format: '{bar} {value}/{total}  {means}  {rate} tokens/s  ETA {left}',
      barsize: 24,
      barCompleteChar: '━',
      barIncompleteChar: ' ',
      stream: this.#stream,
      hideCursor: null,
      gracefulExit: false,
    });
    this.#bar.start(steps, fromStep, { means: '', rate: '-', left: '-' });
  }

  step(step: TrainStep): void {
    this.#speed.add(step);
    this.#means.add(step);
    const { tokensPerSecond, secondsPerStep } = this.#speed;
    const values = {
      rate: rate(tokensPerSecond),
      left: clock(secondsPerStep * (this.#steps - step.index)),
    };
    if (this.#bar) this.#bar.update(step.index, { ...values, means: this.#means.take() });
    else if (step.index % this.#loggingSteps === 0 || step.index === this.#steps) {
      this.#stream.write(
        `step ${step.index}/${this.#steps}  ${this.#means.take()}` +
          `  lr ${step.learningRate.toExponential(2)}  ${values.rate} tokens/s  ETA ${values.left}\n`,
      );
    }
  }

  /** A line of its own, above the bar where there is one. */
  line(text: string): void {
    if (this.#bar) {
      // The bar stands on the current line: overwrite it, and it draws itself again below.
      this.#stream.write(`\r\u001b[K${text}\n`);
      this.#bar.updateETA();
      this.#bar.render();
    } else this.#stream.write(`${text}\n`);
  }

  stop(): void {
    this.#bar?.stop();
  }
}
