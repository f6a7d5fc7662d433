// Judges by name: rule:NAME[:PARAMETERS], reward-model:FOLDER, preference-model:FOLDER, endpoint:URL.
import { basename, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import type { JsonObject } from '../checkpoint/json.js';
import { LanguageModel } from '../engine/model.js';
import { endpointJudge, endpointScoreJudge } from '../judges/endpoint.js';
import type { Judge, JudgeRole, ScoreRequest } from '../judges/judge.js';
import { preferenceModelJudge } from '../judges/preference-model.js';
import { rewardModelJudge } from '../judges/reward-model.js';
import { type RuleName, ruleJudge, rules } from '../judges/rules.js';
import { ComparisonEncoder } from '../text/comparison.js';
import { Encoder } from '../text/encoding.js';
import { ChatTemplate } from '../text/chat-template.js';
import { Tokenizer } from '../text/tokenizer.js';
import { hashFolder } from '../training/reference.js';
import { invalid } from './config/layers.js';
import { modelFolder } from './models.js';

export interface JudgeContext<Role extends JudgeRole> {
  /** Of the policy: judges with the same tokenizer take its token ids. */
  readonly encoder: Encoder;
  readonly role: Role;
  readonly options?: JsonObject | null;
}

const forms = 'rule:NAME, reward-model:FOLDER, preference-model:FOLDER or endpoint:URL';

/** "target=20,unit=words" or "{target: 20, unit: words}". */
const parametersOf = (text: string): JsonObject => {
  const flow = text.startsWith('{') ? text : `{${text.replaceAll('=', ': ')}}`;
  try {
    const value: unknown = parse(flow);
    if (typeof value === 'object' && value !== null) return value as JsonObject;
  } catch {
    // refused below
  }
  throw invalid(`The parameters "${text}" of the judge must be like target=20,unit=words.`);
};

const makeRule = <Role extends JudgeRole>(
  text: string,
  { role, options }: JudgeContext<Role>,
): Judge<Role> => {
  const [name = '', ...rest] = text.split(':');
  const own = rest.length > 0 ? parametersOf(rest.join(':')) : {};
  if (!Object.hasOwn(rules, name)) {
    const list = Object.entries(rules).map(([known, { help }]) => `${known} (${help})`);
    throw invalid(`There is no rule "${name}". There are: ${list.join('; ')}.`);
  }
  return ruleJudge(name as RuleName, { ...own, ...options }, { role });
};

const noOptions = (options: JsonObject | null | undefined, kind: string): void => {
  if (!options || Object.keys(options).length === 0) return;
  throw invalid(`A ${kind} has no judge_options. Remove them.`);
};

const loadJudgeModel = async (name: string) => {
  const folder = await modelFolder(name);
  const [version, tokenizer] = await Promise.all([hashFolder(folder), Tokenizer.load(folder)]);
  const model = await LanguageModel.load(folder, { trainable: false });
  return { folder, version, tokenizer, model };
};

/** A judge with another tokenizer reads the text. */
const readingText =
  (own: Encoder) =>
  ({ prompt, response }: ScoreRequest) => {
    const end = response.truncated || !own.eos ? [] : [own.eos.id];
    return {
      prompt: own.encodePrompt(prompt),
      response: Int32Array.from([...own.encodeContinuation(response.text), ...end]),
    };
  };

const rewardModel = async <Role extends JudgeRole>(
  name: string,
  { encoder, role }: JudgeContext<Role>,
): Promise<Judge<Role>> => {
  const { folder, version, tokenizer, model } = await loadJudgeModel(name);
  try {
    const same = tokenizer.hash === encoder.tokenizer.hash;
    const own = same
      ? null
      : new Encoder(tokenizer, { chatTemplate: await ChatTemplate.load(folder) });
    return rewardModelJudge({
      model,
      name: `reward-model:${basename(resolve(name))}`,
      version,
      role,
      owned: true,
      ...(own ? { encode: readingText(own) } : {}),
    });
  } catch (error) {
    await model.dispose();
    throw error;
  }
};

const preferenceModel = async <Role extends JudgeRole>(
  name: string,
  { role }: JudgeContext<Role>,
): Promise<Judge<Role>> => {
  const { folder, version, tokenizer, model } = await loadJudgeModel(name);
  try {
    const own = new Encoder(tokenizer, { chatTemplate: await ChatTemplate.load(folder) });
    const comparisons = new ComparisonEncoder(own, { maxLength: model.shape.maxPosition });
    return preferenceModelJudge({
      model,
      name: `preference-model:${basename(resolve(name))}`,
      version,
      role,
      owned: true,
      encoder: comparisons,
    });
  } catch (error) {
    await model.dispose();
    throw error;
  }
};

const endpointOptions = z.strictObject({
  model: z.string().min(1),
  kind: z.enum(['pair', 'score']).default('pair'),
  concurrency: z.int().min(1).optional(),
  retries: z.int().min(0).optional(),
  timeoutMs: z.number().positive().optional(),
  temperature: z.number().min(0).optional(),
  maxTokens: z.int().min(1).optional(),
  apiKeyVariable: z.string().min(1).optional(),
  parameters: z.record(z.string(), z.json()).optional(),
});

const endpoint = <Role extends JudgeRole>(
  url: string,
  { role, options }: JudgeContext<Role>,
): Judge<Role> => {
  const { data, error } = endpointOptions.safeParse(options ?? {});
  if (!data) {
    throw invalid(
      `The judge_options of endpoint:${url} are not right: ` +
        `${z.prettifyError(error).replaceAll(/\s*\n\s*/g, ' ')}. They have a model, as in ` +
        "--judge-options '{model: gpt-4o-mini}', and may have " +
        `${Object.keys(endpointOptions.shape).slice(1).join(', ')}.`,
    );
  }
  const { kind, ...rest } = data;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  const asked = { ...given, url, model: data.model, role };
  return kind === 'pair' ? endpointJudge(asked) : endpointScoreJudge(asked);
};

/** Throws OPTION_INVALID for a name that is none, and what loading the judge's model throws. */
export const openJudge = async <Role extends JudgeRole>(
  text: string,
  context: JudgeContext<Role>,
): Promise<Judge<Role>> => {
  const at = text.indexOf(':');
  const [kind, rest] = at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  if (rest === '') throw invalid(`"${text}" is no judge. Write ${forms}.`);
  if (kind === 'rule') return makeRule(rest, context);
  if (kind === 'reward-model') {
    noOptions(context.options, 'reward model');
    return rewardModel(rest, context);
  }
  if (kind === 'preference-model') {
    noOptions(context.options, 'preference model');
    return preferenceModel(rest, context);
  }
  if (kind === 'endpoint') return endpoint(rest, context);
  throw invalid(`"${kind}" is no kind of judge. Write ${forms}.`);
};
