// A cell: algorithms side by side under one gap of the locomotion task.
import type { Algorithm, DatasetKind } from '../../control/index.js';
import { algorithmNames, cellArm } from './arms.js';
import type { Labelled } from './curves.js';
import type { Lab } from './lab.js';
import type { GapName, Recipe } from './recipe.js';
import type { Run } from './training.js';

export type Cell = ReadonlyMap<Algorithm, Run>;

export const hasCell = ({ locomotion }: Recipe, gap: GapName): boolean =>
  locomotion?.cells[gap] !== undefined;

/** @param kind of the data; default the first of the recipe */
export const runCell = async (lab: Lab, gap: GapName, kind?: DatasetKind): Promise<Cell> => {
  const { algorithms } = lab.recipe.locomotion!.cells[gap]!;
  const changes = kind === undefined ? {} : { kind };
  const runs = await Promise.all(
    algorithms.map(
      async (name) => [name, await lab.train(cellArm(lab.recipe, gap, name, changes))] as const,
    ),
  );
  return new Map(runs);
};

export const labelled = (cell: Cell): Labelled[] =>
  [...cell].map(([algorithm, run], look) => ({ label: algorithmNames[algorithm], run, look }));
