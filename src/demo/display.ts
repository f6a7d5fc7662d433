// How the demo looks: colours and a live bar on a terminal, plain lines elsewhere.
import { styleText } from 'node:util';
import cliProgress from 'cli-progress';
import type { TrainingStep } from './training.js';

const isTerminal = (): boolean => process.stdout.isTTY;

type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'red';

/** Colours only on a terminal, and none where NO_COLOR is set (no-color.org). */
export const style = (format: Style, text: string): string =>
  isTerminal() && !process.env.NO_COLOR ? styleText(format, text) : text;

export const print = (text = ''): void => {
  process.stdout.write(`${text}\n`);
};

export const heading = (text: string): void => {
  const [name = '', ...rest] = text.split(':');
  print(`\n${style('bold', name)}${rest.length > 0 ? style('dim', `:${rest.join(':')}`) : ''}`);
};

export const indent = '  ';

/** The text in lines that fit the terminal, at most 88 columns, indented. */
export const wrap = (text: string): string => {
  const columns = process.stdout.columns || 88; // undefined in a file, 0 in some pseudo-terminals
  const width = Math.max(40, Math.min(88, columns)) - indent.length;
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines.map((line) => indent + line).join('\n');
};

export const count = (n: number): string => Math.round(n).toLocaleString('en-US');

interface Progress {
  update(step: TrainingStep): void;
  stop(): void;
}

const bar = (steps: number, tokensPerSecond: (step: TrainingStep) => string): Progress => {
  // With the longest numbers 77 columns.
  const format =
    `${indent}${style('cyan', '{bar}')} {percentage} %  step {value} of {total}  ` +
    'loss {loss}  {rate} tokens/s';
  const live = new cliProgress.SingleBar(
    { format, stream: process.stdout, hideCursor: true, gracefulExit: false, barsize: 20 },
    cliProgress.Presets.shades_classic,
  );
  live.start(steps, 0, { loss: '…', rate: '…' });
  return {
    update: (step) => {
      live.update(step.step, { loss: step.loss.toFixed(2), rate: tokensPerSecond(step) });
    },
    stop: () => {
      live.stop();
    },
  };
};

const lines = (steps: number, tokensPerSecond: (step: TrainingStep) => string): Progress => {
  const every = Math.ceil(steps / 10);
  return {
    update: (step) => {
      if (step.step % every !== 0 && step.step !== steps) return;
      const number = String(step.step).padStart(String(steps).length);
      const rate = tokensPerSecond(step);
      print(
        `${indent}step ${number} of ${steps}   loss ${step.loss.toFixed(2)}   ${rate} tokens/s`,
      );
    },
    stop: () => undefined,
  };
};

/** Shows training steps as they come. */
export const showProgress = (steps: number): Progress => {
  const start = performance.now();
  const rate = ({ tokens }: TrainingStep): string =>
    count((1000 * tokens) / (performance.now() - start));
  return isTerminal() ? bar(steps, rate) : lines(steps, rate);
};
