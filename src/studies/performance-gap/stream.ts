// Accuracy along the stream of the online arm (Tang et al. 2024, figure 6): the proxy and two
// policies as classifiers of the pairs that the online arm drew and the golden model orders.
import { classifyPairs } from '../../evaluation/classification.js';
import { mean } from '../../evaluation/statistics.js';
import { readExperience } from '../../sources/experience-log.js';
import type { CompareRequest } from '../../judges/judge.js';
import type { Example } from '../../text/example.js';
import type { Artefact, Stages } from '../study.js';
import { logPath } from './arm-parts.js';
import { type Ground, openBench } from './bench.js';
import { trainingPrompts } from './golden-policy.js';
import { type Materials, loadModel, promptsOf } from './materials.js';
import type { GoldenPairs } from './protocol.js';

export interface StreamPlace {
  /** Of the online arm, in the middle of the pairs. */
  readonly step: number;
  readonly pairs: number;
  readonly proxy: number;
  readonly online: number;
  readonly offline: number;
}

export interface StreamAccuracy {
  readonly places: readonly StreamPlace[];
  /** Of the proxy, pair by pair in the stream's order: R right, x wrong. */
  readonly proxyRight: string;
  /** Of the offline policy. */
  readonly offlineRight: string;
  readonly [key: string]: unknown;
}

interface Pair {
  readonly step: number;
  /** As the proxy ordered them. */
  readonly example: Example;
}

export const readPairs = async (log: string): Promise<Pair[]> => {
  const pairs: Pair[] = [];
  for await (const { step, place, example } of readExperience(log)) {
    if (place !== null) pairs.push({ step, example });
  }
  return pairs;
};

/** Groups of `size` consecutive pairs around places that are spread evenly over the stream. */
export const windows = <Item>(items: readonly Item[], places: number, size: number): Item[][] =>
  Array.from({ length: places }, (_, i) => {
    const middle = Math.round(((i + 0.5) * items.length) / places);
    const begin = Math.max(0, Math.min(items.length - size, middle - Math.floor(size / 2)));
    return items.slice(begin, begin + size);
  });

/** What the golden model is asked of pairs of a stream, in their order. */
export const requestsOf = (
  golden: GoldenPairs,
  { encoder }: Materials,
): ((example: Example) => CompareRequest) => {
  const prompts = promptsOf(trainingPrompts(golden), encoder);
  // Tokens alone do not tell what a template spelt by special ones.
  const texts = new Map(prompts.map(({ tokens, text }) => [tokens.join(), text]));
  return ({ prompt, responses }) => {
    const [first, second] = responses.map(({ tokens, truncated = false }) => ({
      tokens,
      truncated,
      text: encoder.decode(tokens, prompt),
    }));
    const text = texts.get(prompt.join()) ?? encoder.tokenizer.decode(prompt);
    return { prompt: text, promptTokens: prompt, first: first!, second: second! };
  };
};

export const streamAccuracy = (
  stages: Stages,
  ground: Ground,
  seed: number,
  compared: { readonly proxy: Artefact; readonly online: Artefact; readonly offline: Artefact },
): Promise<Artefact<StreamAccuracy>> => {
  const { proxy, online, offline } = compared;
  const { streamPlaces, streamPairs } = ground.materials.recipe.evaluation;
  return stages.stage<StreamAccuracy>({
    name: `accuracy along the stream, seed ${seed}`,
    settings: { streamPlaces, streamPairs },
    inputs: [ground.golden, ground.start, proxy, online, offline],
    run: async ({ tick }) => {
      const stream = await readPairs(logPath(online));
      const [bench, golden, close] = await openBench(ground, proxy);
      await using ofOnline = await loadModel(online, ground.materials);
      await using ofOffline = await loadModel(offline, ground.materials);
      const requestOf = requestsOf(golden, ground.materials);
      const places: StreamPlace[] = [];
      const right = { proxy: '', offline: '' };
      const mark = (values: readonly boolean[]) => values.map((v) => (v ? 'R' : 'x')).join('');
      try {
        for (const part of windows(stream, streamPlaces, streamPairs)) {
          const verdicts = await bench.golden.compare(part.map((pair) => requestOf(pair.example)));
          const preferences = verdicts.map(({ preference }) => preference ?? 0.5);
          // The proxy has put its winner first; the golden model turns pairs round where it differs.
          const proxyRight = preferences.map((preference) => preference > 0.5);
          const ordered = part.map(({ example }, i) => ({
            ...example,
            responses: proxyRight[i] ? example.responses : example.responses.toReversed(),
          }));
          const options = { reference: bench.start };
          const own = await classifyPairs(ordered, { policy: ofOnline, ...options });
          const theirs = await classifyPairs(ordered, { policy: ofOffline, ...options });
          right.proxy += mark(proxyRight);
          right.offline += mark(theirs.margins.map((margin) => margin > 0));
          places.push({
            step: part[Math.floor(part.length / 2)]!.step,
            pairs: part.length,
            proxy: mean(proxyRight.map(Number)),
            online: own.accuracy,
            offline: theirs.accuracy,
          });
          tick(places.length, streamPlaces);
        }
      } finally {
        await close();
      }
      return { places, proxyRight: right.proxy, offlineRight: right.offline };
    },
  });
};
