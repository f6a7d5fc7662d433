// The laboratory of the coverage study: what its experiments ask for.
import type { Stages } from '../study.js';
import type { Recipe } from './recipe.js';
import { type TextLab, openTextLab } from './text/lab.js';
import { type TextMaterials, openTextMaterials } from './text/materials.js';

export interface Lab {
  readonly recipe: Recipe;
  readonly stage: Stages['stage'];
  /** Null where the recipe has no text. */
  readonly text: TextLab | null;
}

/** Of a study, not of a plan: they are read from a stage's folder. */
export const openMaterials = async (
  stages: Stages,
  { text }: Recipe,
): Promise<TextMaterials | null> => text && openTextMaterials(stages, text);

export const openLab = (
  stages: Stages,
  recipe: Recipe,
  materials: TextMaterials | null = null,
): Lab => ({
  recipe,
  stage: (stage) => stages.stage(stage),
  text: recipe.text && materials ? openTextLab(stages, materials, recipe.text) : null,
});
