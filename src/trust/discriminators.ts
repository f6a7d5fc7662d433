// A model with one scalar output as both discriminators: it reads two responses to a prompt as a
// preference model does. With the label the better one comes first, and the sequence ends as a
// comparison does. Without it they stand in alphabetical order, which tells nothing of the label,
// and the last token is another one, by which the model knows what it is asked.
import type { LanguageModel } from '../engine/model.js';
import type { AdamWOptions } from '../engine/optimizer.js';
import { AlignlabError } from '../errors.js';
import { requireScalarHead, scalarScores } from '../judges/reward-model.js';
import type { Objective } from '../objectives/objective.js';
import type { ComparisonEncoder } from '../text/comparison.js';
import type { Example, Text } from '../text/example.js';
import { accumulate } from '../training/accumulate.js';
import type { Learner } from '../training/learner.js';
import { boundedLogit, discriminatorLoss } from './discriminator-loss.js';

/** A pair as it was labelled. */
export interface LabelledTexts {
  readonly prompt: Text;
  readonly chosen: string;
  readonly rejected: string;
  readonly origin: string;
}

export interface DiscriminatorOptions {
  /** Trainable, with one scalar output: such as LanguageModel.load(folder, { scalarHead: 1 }). */
  readonly model: LanguageModel;
  readonly encoder: Pick<ComparisonEncoder, 'compare'>;
  readonly logitScale: number;
  readonly optimizer: AdamWOptions;
}

const maxTokens = 4096;

export class Discriminators {
  readonly model: LanguageModel;
  readonly #options: DiscriminatorOptions;
  readonly #objective: Objective;

  /** Throws OPTION_INVALID. */
  constructor(options: DiscriminatorOptions) {
    this.#options = options;
    this.model = options.model;
    requireScalarHead(this.model, 'discriminators');
    this.#objective = discriminatorLoss.make({ logitScale: options.logitScale });
    if (this.model.trainable) return;
    throw new AlignlabError(
      'OPTION_INVALID',
      'The model of the discriminators is frozen, and they learn along the run. Load it with ' +
        'trainable: true.',
    );
  }

  /** Both views, without the label first. `golden`: who labelled it. */
  view({ prompt, chosen, rejected, origin }: LabelledTexts, golden: boolean): Example {
    const { encoder } = this.#options;
    const [low, high] = chosen <= rejected ? [chosen, rejected] : [rejected, chosen];
    const labelled = encoder.compare(prompt, chosen, rejected, origin);
    const blind = encoder.compare(prompt, low, high, origin).orders[0].slice();
    const mark = labelled.head.at(-1)!;
    if (blind.at(-1) === mark) {
      throw new AlignlabError(
        'OPTION_INVALID',
        'The separators beforeFirst and end of the comparisons end in the same token, by which ' +
          'discriminators could not tell their questions apart. Change one of them.',
      );
    }
    blind[blind.length - 1] = mark;
    const responses = [{ tokens: blind }, { tokens: labelled.orders[0] }];
    return { kind: 'group', prompt: labelled.head, responses, label: golden, origin };
  }

  /** log P_golden(label | responses) / P_proxy(label | responses) of each, within the logit scale. */
  async logRatios(views: readonly Example[], signal?: AbortSignal): Promise<number[]> {
    const { logitScale } = this.#options;
    const encoded = views.map(({ prompt, responses }) => ({
      prompt,
      response: responses[1]!.tokens,
    }));
    const scores = await scalarScores(this.model, encoded, signal ? { signal } : {});
    return scores.map((score) => boundedLogit(score!, logitScale));
  }

  /** One optimiser step on as many golden as proxy-labelled pairs; the losses, ln 2 at chance. */
  async update(views: readonly Example[], signal?: AbortSignal): Promise<Record<string, number>> {
    const learner: Learner = {
      policy: this.model,
      objective: this.#objective,
      reference: null,
      critic: null,
      maxTokens,
      maxLength: Infinity,
      recompute: false,
      entropy: false,
      ...(signal ? { signal } : {}),
    };
    const experiences = views.map((example) => ({ example, known: [{}, {}] }));
    const { metrics } = await accumulate(learner, experiences, 1);
    await this.model.step(this.#options.optimizer);
    return Object.fromEntries(
      Object.entries(metrics).map(([name, { sum, weight }]) => [name, sum / weight]),
    );
  }
}
