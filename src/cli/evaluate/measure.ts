// Measures one policy by what was asked for, or by what the inputs allow.
import { measureBestOfN } from '../../evaluation/best-of-n.js';
import { classifyPairs } from '../../evaluation/classification.js';
import { measureKl } from '../../evaluation/kl.js';
import { perplexity } from '../../evaluation/perplexity.js';
import { drawResponses } from '../../evaluation/samples.js';
import { bootstrapInterval, mean } from '../../evaluation/statistics.js';
import { winRate } from '../../evaluation/win-rate.js';
import type { LanguageModel } from '../../engine/model.js';
import { askScores } from '../../judges/checked.js';
import { invalid } from '../config/layers.js';
import { type Bench, type MetricName, metricNames } from './options.js';

/** One number of the table; the interval covers 95 %. */
export interface Measurement {
  readonly name: string;
  readonly value: number | null;
  readonly interval?: readonly [number, number];
  readonly about?: string;
}

type Measure = (policy: LanguageModel, bench: Bench) => Promise<Measurement[]>;

/** What a metric lacks; null when it can be taken. */
const lacks: Readonly<Record<MetricName, (bench: Bench) => string | null>> = {
  kl: ({ reference, prompts }) =>
    !reference ? '--reference' : prompts.length === 0 ? 'rows with prompts' : null,
  'win-rate': ({ judge, opponent, prompts }) => {
    if (!judge) return '--judge';
    if (!opponent) return '--opponent or --reference';
    return prompts.length === 0 ? 'rows with prompts' : null;
  },
  score: ({ judge, prompts }) => {
    if (judge?.kind !== 'reward') return 'a --judge that gives rewards';
    return prompts.length === 0 ? 'rows with prompts' : null;
  },
  accuracy: ({ examples }) => (examples?.[0]?.kind === 'pair' ? null : 'rows of pairs'),
  perplexity: ({ examples }) => (examples ? null : 'rows with responses'),
  'best-of-n': ({ judge, proxy, prompts }) => {
    if (judge?.kind !== 'reward' || proxy?.kind !== 'reward') return 'a --judge that gives rewards';
    return prompts.length === 0 ? 'rows with prompts' : null;
  },
};

const samplingOf = ({ flags }: Bench) => ({
  maxNewTokens: flags.maxCompletionLength,
  temperature: flags.temperature,
});

const interval = (value: number, error: number | null): Pick<Measurement, 'interval'> =>
  error === null ? {} : { interval: [value - 1.96 * error, value + 1.96 * error] };

const kl: Measure = async (policy, { reference, prompts, flags, encoder }) => {
  const { samples, seed, maxCompletionLength: limit } = flags;
  const sampling = { maxNewTokens: limit };
  const options = { policy, reference: reference!, prompts, samples, seed, encoder, sampling };
  const { exact, exactPerToken, truncated, sequences } = await measureKl(options);
  return [
    {
      name: 'KL to the reference',
      value: exact.mean,
      ...interval(exact.mean, exact.standardError),
      about: `nats a response, exact; ${sequences.length} samples, ${truncated} cut off`,
    },
    { name: 'KL a token', value: exactPerToken, about: 'nats' },
  ];
};

const score: Measure = async (policy, bench) => {
  const { judge, prompts, flags, encoder } = bench;
  if (judge?.kind !== 'reward') return [];
  const { samples, seed } = flags;
  const draw = { sampling: samplingOf(bench), encoder, samples, seed, stream: 'policy' };
  const drawn = await drawResponses(policy, prompts, draw);
  const requests = drawn.flatMap((responses, i) =>
    responses.map((response) => {
      const { text, tokens, columns } = prompts[i]!;
      const request = { prompt: text, promptTokens: tokens, response };
      return columns ? { ...request, columns } : request;
    }),
  );
  const scores = await askScores(judge, requests, {});
  // Samples of one prompt are not independent: intervals are over prompts.
  const means = prompts.flatMap((_, i) => {
    const own = scores.slice(i * samples, (i + 1) * samples).filter((each) => each !== null);
    return own.length === 0 ? [] : [mean(own)];
  });
  const failures = scores.filter((each) => each === null).length;
  const lengths = drawn.flatMap((responses) => responses.map(({ tokens }) => tokens.length));
  return [
    {
      name: `score by ${judge.name}`,
      value: means.length === 0 ? null : mean(means),
      ...(means.length > 1 ? { interval: bootstrapInterval(means, mean, { seed }) } : {}),
      about: `${requests.length} samples${failures > 0 ? `, ${failures} not scored` : ''}`,
    },
    { name: 'tokens of a sample', value: mean(lengths) },
  ];
};

const wins: Measure = async (policy, bench) => {
  const { judge, opponent, prompts, encoder, flags } = bench;
  const asked = { judge: judge!, opponent: opponent!, policy, prompts, encoder };
  const found = await winRate({ ...asked, sampling: samplingOf(bench), seed: flags.seed });
  const counts =
    `${found.wins} wins, ${found.ties} ties, ${found.losses} losses` +
    (found.failures > 0 ? `, ${found.failures} not judged` : '') +
    (found.positionFlips > 0 ? `, ${found.positionFlips} flipped with the order` : '');
  return [
    {
      name: `win rate by ${judge!.name}`,
      value: found.winRate,
      ...(found.wilson ? { interval: found.wilson } : {}),
      about: counts,
    },
  ];
};

const accuracy: Measure = async (policy, { reference, examples }) => {
  const found = await classifyPairs(examples ?? [], { policy, reference });
  const drift = reference ? 'log-ratio' : 'log-prob';
  const nats = (
    name: string,
    { mean: value, standardError }: typeof found.margin,
  ): Measurement => ({
    name,
    value,
    ...interval(value, standardError),
    about: 'nats',
  });
  return [
    {
      name: 'accuracy on pairs',
      value: found.accuracy,
      interval: found.wilson,
      about: `${found.pairs} pairs, ${found.undecided} undecided`,
    },
    nats(`${drift} of chosen`, found.chosenDrift),
    nats(`${drift} of rejected`, found.rejectedDrift),
  ];
};

const heldOut: Measure = async (policy, { examples, flags }) => {
  const found = await perplexity(policy, examples ?? [], { seed: flags.seed });
  return [
    {
      name: 'perplexity',
      value: found.perplexity,
      interval: found.interval,
      about: `${found.tokens} tokens of ${found.responses} responses`,
    },
  ];
};

const sizes = (text: string): number[] =>
  text.split(',').map((part) => {
    const n = Number(part);
    if (Number.isSafeInteger(n) && n >= 1) return n;
    throw invalid(`--best-of-n must be whole numbers such as 1,2,4, got "${text}".`);
  });

const best: Measure = async (policy, bench) => {
  const { judge, proxy, prompts, encoder, flags } = bench;
  if (judge?.kind !== 'reward' || proxy?.kind !== 'reward') return [];
  const ns = sizes(flags.bestOfN);
  const samples = Math.max(...ns);
  const models = { policy, prompts, proxy, golden: judge, encoder };
  const sampling = samplingOf(bench);
  const { points } = await measureBestOfN({ ...models, samples, ns, sampling, seed: flags.seed });
  return points.map(({ n, golden, goldenInterval, kl: bound }) => ({
    name: `best of ${n} by ${proxy.name}`,
    value: golden.mean,
    interval: goldenInterval,
    about: `score by ${judge.name}; KL at most ${bound.toFixed(3)} nats`,
  }));
};

const measures: Readonly<Record<MetricName, Measure>> = {
  kl,
  'win-rate': wins,
  score,
  accuracy,
  perplexity: heldOut,
  'best-of-n': best,
};

const isMetric = (name: string): name is MetricName =>
  (metricNames as readonly string[]).includes(name);

/** What was asked for, each checked; or everything that can be taken, but for best of n. */
export const chosenMetrics = (bench: Bench): MetricName[] => {
  const { metrics: asked } = bench.flags;
  if (asked === undefined) {
    const found = metricNames.filter((name) => name !== 'best-of-n' && lacks[name](bench) === null);
    if (found.length > 0) return found;
    throw invalid(
      'Nothing can be measured with these inputs. Rows with responses give a perplexity, pairs an ' +
        'accuracy, --reference a KL, --judge a score and a win rate.',
    );
  }
  return asked.split(',').map((name) => {
    if (!isMetric(name)) {
      throw invalid(`There is no metric "${name}". There are ${metricNames.join(', ')}.`);
    }
    const missing = lacks[name](bench);
    if (missing === null) return name;
    throw invalid(`The metric ${name} needs ${missing}.`);
  });
};

export const measure = async (
  policy: LanguageModel,
  bench: Bench,
  metrics: readonly MetricName[],
): Promise<Measurement[]> => {
  const found: Measurement[] = [];
  for (const name of metrics) found.push(...(await measures[name](policy, bench)));
  return found;
};
