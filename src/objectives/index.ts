// The list of objectives. Command line, documentation and shared tests are made from it: a new
// objective is one file in this folder and one line here.
import { AlignlabError } from '../errors.js';
import { didYouMean } from '../suggest.js';
import type { ObjectiveEntry } from './objective.js';
import { aot, aotUnpaired } from './aot.js';
import { apoDown, apoZero } from './apo.js';
import { bcoPair } from './bco-pair.js';
import { bo2 } from './bo2.js';
import { cpo } from './cpo.js';
import { discopop } from './discopop.js';
import { dpo } from './dpo.js';
import { exo } from './exo.js';
import { grpo } from './grpo.js';
import { hinge } from './hinge.js';
import { hypo } from './hypo.js';
import { ipo } from './ipo.js';
import { kto } from './kto.js';
import { nashMd } from './nash-md.js';
import { nca } from './nca.js';
import { orpo } from './orpo.js';
import { ppo } from './ppo.js';
import { preference } from './preference.js';
import { rDpo } from './r-dpo.js';
import { reinforce } from './reinforce.js';
import { reward } from './reward.js';
import { rloo } from './rloo.js';
import { robust } from './robust.js';
import { sft } from './sft.js';
import { sigmoidNorm } from './sigmoid-norm.js';
import { simpo } from './simpo.js';
import { slic } from './slic.js';
import { sppo } from './sppo.js';
import { xpo } from './xpo.js';

export const objectives: readonly ObjectiveEntry[] = [
  sft,
  bo2,
  dpo,
  ipo,
  hinge,
  slic,
  robust,
  exo,
  nca,
  bcoPair,
  sppo,
  apoZero,
  apoDown,
  aot,
  aotUnpaired,
  discopop,
  sigmoidNorm,
  rDpo,
  kto,
  orpo,
  cpo,
  simpo,
  reinforce,
  rloo,
  grpo,
  ppo,
  nashMd,
  xpo,
  hypo,
  reward,
  preference,
];

/** The entry of that name; OPTION_INVALID, with the nearest name, where there is none. */
export const objectiveEntry = (name: string): ObjectiveEntry => {
  const entry = objectives.find((candidate) => candidate.name === name);
  if (entry) return entry;
  const names = objectives.map((candidate) => candidate.name);
  throw new AlignlabError(
    'OPTION_INVALID',
    `There is no objective "${name}".${didYouMean(name, names)} Known: ${names.join(', ')}.`,
  );
};
