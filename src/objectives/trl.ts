// TRL's names for losses of its DPO and CPO trainers, in the terms of the list.

export interface TrlLoss {
  readonly objective: string;
  /** What makes it the same loss, where our default differs. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** `loss_type` of TRL's DPOTrainer to an objective. */
export const trlDpoLosses: Readonly<Record<string, TrlLoss>> = {
  sigmoid: { objective: 'dpo' },
  hinge: { objective: 'hinge' },
  ipo: { objective: 'ipo', options: { reduction: 'mean' } },
  exo_pair: { objective: 'exo' },
  nca_pair: { objective: 'nca' },
  robust: { objective: 'robust' },
  bco_pair: { objective: 'bco-pair' },
  sppo_hard: { objective: 'sppo' },
  aot: { objective: 'aot' },
  aot_unpaired: { objective: 'aot-unpaired' },
  apo_zero: { objective: 'apo-zero' },
  apo_down: { objective: 'apo-down' },
  discopop: { objective: 'discopop' },
  sft: { objective: 'bo2' },
  sigmoid_norm: { objective: 'sigmoid-norm' },
};

/** `loss_type` of TRL's CPOTrainer to an objective; simpo's defaults there are CPO's. */
export const trlCpoLosses: Readonly<Record<string, TrlLoss>> = {
  sigmoid: { objective: 'cpo' },
  hinge: { objective: 'cpo', options: { lossType: 'hinge' } },
  ipo: { objective: 'cpo', options: { lossType: 'ipo' } },
  simpo: { objective: 'simpo', options: { beta: 0.1, simpoGamma: 0.5, cpoAlpha: 1 } },
};

/**
 * `loss_type` of TRL's GRPOTrainer to an objective. bnpo divides by the tokens of one micro-batch,
 * on which nothing here depends: with one micro-batch a step it is dapo.
 */
export const trlGrpoLosses: Readonly<Record<string, TrlLoss>> = {
  grpo: { objective: 'grpo', options: { lossType: 'grpo' } },
  bnpo: { objective: 'grpo', options: { lossType: 'dapo' } },
  dr_grpo: { objective: 'grpo', options: { lossType: 'dr_grpo' } },
  dapo: { objective: 'grpo', options: { lossType: 'dapo' } },
  cispo: { objective: 'grpo', options: { lossType: 'cispo' } },
};
