// What is measured on held-out rows while a run goes on.
import { drawResponses } from '../../evaluation/samples.js';
import { askScores } from '../../judges/checked.js';
import type { Judge } from '../../judges/judge.js';
import type { EvaluateOptions, TrainOptions } from '../../training/options.js';
import type { Progress } from '../../training/progress.js';
import { invalid } from '../config/layers.js';
import { evaluateHeldOut } from './held-out.js';
import type { Plans } from './plan.js';
import type { Prepared } from './prepare.js';

/** Metrics that a person wants to see at once; all of them are recorded. */
const telling = /^(loss|reward|kl|accuracy|rewards\/(accuracies|margins)|.*mean_length)$/;

/** The policy's samples to held-out prompts, scored by the judge. */
const evaluateSamples =
  (prepared: Prepared, judge: Judge<'proxy'>): EvaluateOptions['run'] =>
  async ({ policy, signal }) => {
    const { config, heldOutPrompts, encoder } = prepared;
    if (judge.kind !== 'reward') {
      throw invalid(
        'Held-out prompts are scored by a reward judge, and this one compares pairs. Use ' +
          '--eval-strategy no, and alignlab eval on checkpoints.',
      );
    }
    const prompts = heldOutPrompts ?? [];
    const { settings } = config;
    const drawn = await drawResponses(policy, prompts, {
      sampling: { maxNewTokens: settings.max_completion_length ?? 64 },
      encoder,
      seed: settings.seed,
      ...(signal ? { signal } : {}),
    });
    const requests = drawn.map(([response], i) => {
      const { tokens, text, columns } = prompts[i]!;
      const request = { prompt: text, promptTokens: tokens, response: response! };
      return columns ? { ...request, columns } : request;
    });
    const scores = (await askScores(judge, requests, signal ? { signal } : {})).filter(
      (score) => score !== null,
    );
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    const lengths = drawn.map(([response]) => response!.tokens.length);
    return {
      reward: mean,
      'completions/mean_length': lengths.reduce((a, b) => a + b, 0) / lengths.length,
    };
  };

export const evaluationOf = (
  prepared: Prepared,
  judge: Judge<'proxy'> | null,
  plans: Plans,
  progress: Progress,
): Pick<TrainOptions, 'evaluate'> => {
  const { config, heldOut, heldOutPrompts, maxLength } = prepared;
  const { settings, objective } = config;
  const nothing = !heldOut && !heldOutPrompts;
  if (nothing || (settings.eval_strategy === 'no' && !settings.eval_on_start)) return {};
  const measure: EvaluateOptions['run'] =
    heldOutPrompts && judge
      ? evaluateSamples(prepared, judge)
      : ({ policy, reference, signal }) => {
          const own = { policy, objective, reference, critic: null, maxLength, entropy: false };
          const learner = { ...own, maxTokens: settings.micro_batch_tokens ?? 8192 };
          const asked = { ...learner, recompute: false, ...(signal ? { signal } : {}) };
          return evaluateHeldOut(asked, heldOut ?? [], settings.per_device_eval_batch_size);
        };
  const run: EvaluateOptions['run'] = async (context) => {
    const metrics = await measure(context);
    const shown = Object.entries(metrics).filter(([name]) => telling.test(name));
    const text = shown.map(([name, value]) => `${name} ${value.toPrecision(4)}`).join('  ');
    progress.line(`held out, step ${context.step}: ${text}`);
    return metrics;
  };
  return { evaluate: { every: plans.evaluations, atStart: settings.eval_on_start, run } };
};
