// From config.json to the engine's description of the model. What the engine cannot do is refused
// by name; dropout settings are accepted and have no effect, since the engine applies none.
import { ConfigReader } from './config-reader.js';
import { type Family, families, tensorsOf } from './families/index.js';
import { type JsonObject, isObject, show } from './json.js';
import { type ModelShape, limits } from './shape.js';
import { type CheckpointTensor, type Slot, slotsOf } from './slots.js';

export interface ModelDescription {
  readonly config: JsonObject;
  readonly family: Family;
  readonly shape: ModelShape;
  readonly slots: readonly Slot[];
  /** Under standard names; a file may leave out the prefix. */
  readonly tensors: readonly CheckpointTensor[];
}

/** Settings that change what a model computes and that the engine does not know. */
const refusedWhenSet: Readonly<Record<string, string>> = {
  quantization_config: 'quantised weights are',
  compression_config: 'quantised weights are',
  num_local_experts: 'a mixture of experts is',
  num_experts: 'a mixture of experts is',
  n_routed_experts: 'a mixture of experts is',
  moe_intermediate_size: 'a mixture of experts is',
  final_logit_softcapping: 'logit soft-capping is',
  attn_logit_softcapping: 'logit soft-capping is',
  add_cross_attention: 'cross-attention is',
  is_encoder_decoder: 'an encoder-decoder is',
  embedding_multiplier: 'scaling of embeddings is',
  residual_multiplier: 'scaling of residuals is',
  attention_multiplier: 'scaling of attention is',
  logits_scaling: 'scaling of logits is',
  logit_scale: 'scaling of logits is',
  attention_chunk_size: 'chunked attention is',
  use_bidirectional_attention: 'bidirectional attention is',
  pruned_heads: 'head pruning is',
};

const isNeutral = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === false ||
  value === 0 ||
  ((Array.isArray(value) || isObject(value)) && Object.keys(value).length === 0);

const refuseForeignSettings = (config: ConfigReader): void => {
  for (const [key, feature] of Object.entries(refusedWhenSet)) {
    if (isNeutral(config.get(key))) continue;
    throw config.unsupported(
      `"${key}" is ${show(config.get(key))}: ${feature} not supported`,
      'Choose a checkpoint without it.',
    );
  }
};

const findFamily = (config: ConfigReader): Family => {
  const modelType = config.text('model_type');
  const family = families.find((known) => known.modelType === modelType);
  if (family) return family;
  throw config.unsupported(
    `model_type ${show(modelType)} is not supported`,
    `Supported are ${families.map((known) => known.modelType).join(', ')}.`,
  );
};

const numLabels = (config: ConfigReader): number => {
  const bounds = { max: limits.scalarOutputs };
  const labels = config.object('id2label');
  const count = config.optionalInteger('num_labels', bounds);
  const named = labels ? Object.keys(labels.values).length : null;
  if (count !== null && named !== null && count !== named) {
    throw config.invalid('num_labels', `the number of entries of "id2label" (${named})`);
  }
  const outputs = count ?? named ?? 2; // transformers leaves the default of 2 out of the file
  if (outputs <= bounds.max) return outputs;
  throw config.invalid('id2label', `at most ${bounds.max} entries`);
};

/** The head that "architectures" asks for: a scalar head, or the language-model head. */
const scalarOutputsOf = (config: ConfigReader, { classStem }: Family): number => {
  if (config.lacks('architectures')) return 0;
  const names = config.get('architectures');
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string')) {
    throw config.invalid('architectures', 'a list of class names');
  }
  const name: unknown = names[0];
  if (name === undefined) return 0;
  const kinds = ['ForCausalLM', 'LMHeadModel', 'Model', 'ForSequenceClassification'];
  const kind = kinds.find((suffix) => name === classStem + suffix);
  if (kind) return kind === 'ForSequenceClassification' ? numLabels(config) : 0;
  throw config.unsupported(
    `architecture ${show(name)} is not supported`,
    `For this model_type these are: ${kinds.map((suffix) => classStem + suffix).join(', ')}.`,
  );
};

const checkLayerTypes = (config: ConfigReader, layers: number): void => {
  if (config.lacks('layer_types')) return;
  const types = config.get('layer_types');
  if (!Array.isArray(types) || types.length !== layers) {
    throw config.invalid('layer_types', `a list of ${layers} names, one a layer`);
  }
  const other: unknown = types.find((type) => type !== 'full_attention');
  if (other === undefined) return;
  throw config.unsupported(
    `"layer_types" contains ${show(other)}`,
    'Only full_attention is supported; choose a checkpoint that uses it on every layer.',
  );
};

/** Checks a config.json and says everything that follows from it. `where` names it in messages. */
export const describeModel = (config: JsonObject, where: string): ModelDescription => {
  const reader = new ConfigReader(config, where);
  const family = findFamily(reader);
  refuseForeignSettings(reader);
  const shape = family.readShape(reader, { scalarOutputs: scalarOutputsOf(reader, family) });
  checkLayerTypes(reader, shape.layers);
  for (const key of ['dtype', 'torch_dtype']) if (!reader.lacks(key)) reader.text(key);
  return { config, family, shape, slots: slotsOf(shape), tensors: tensorsOf(family, shape) };
};
