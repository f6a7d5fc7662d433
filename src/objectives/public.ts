// What the package exports of this folder.
export { aot, aotUnpaired } from './aot.js';
export { apoDown, apoZero } from './apo.js';
export { bcoPair } from './bco-pair.js';
export { bo2 } from './bo2.js';
export { cpo } from './cpo.js';
export { defineObjective } from './define.js';
export { discopop } from './discopop.js';
export { dpo } from './dpo.js';
export { exo } from './exo.js';
export { grpo } from './grpo.js';
export { hinge } from './hinge.js';
export { hypo } from './hypo.js';
export { objectiveEntry, objectives } from './index.js';
export { ipo } from './ipo.js';
export { kto } from './kto.js';
export { nashMd } from './nash-md.js';
export { nca } from './nca.js';
export type {
  Evaluation,
  Objective,
  ObjectiveEntry,
  OptionSpec,
  Row,
  RowKind,
  Sequence,
  SequenceGradient,
  Totals,
} from './objective.js';
export { orpo } from './orpo.js';
export { type Pair, type PairLoss, type Side, betaOption, pairwise } from './pairwise.js';
export { ppo } from './ppo.js';
export { preference } from './preference.js';
export { rDpo } from './r-dpo.js';
export { reinforce } from './reinforce.js';
export { reward } from './reward.js';
export { rloo } from './rloo.js';
export { robust } from './robust.js';
export { sft } from './sft.js';
export { sigmoidNorm } from './sigmoid-norm.js';
export { simpo } from './simpo.js';
export { slic } from './slic.js';
export { sppo } from './sppo.js';
export { type TrustOptions, withTrust } from './trust.js';
export { xpo } from './xpo.js';
