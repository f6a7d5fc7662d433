// The map from checkpoint tensors to the engine's slots: every element of every slot comes from
// exactly one element on disk, and it is the right one.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type ModelDescription, describeModel } from '../../src/checkpoint/config.js';
import { openTensors } from '../../src/checkpoint/index-file.js';
import { spelledAs } from '../../src/checkpoint/match.js';
import type { View } from '../../src/checkpoint/slots.js';
import {
  type Config,
  familyNames,
  goldenModels,
  randomTensors,
  smallConfig,
  smallConfigs,
} from './helpers.js';

/** Logical slot elements, in the tensor's order on disk. */
function* elements({ offset, dims, strides }: View): Generator<number> {
  const [count = 1, ...rest] = dims;
  const [stride = 0, ...inner] = strides;
  if (dims.length === 0) {
    yield offset;
    return;
  }
  for (let i = 0; i < count; i++) {
    yield* elements({ offset: offset + i * stride, dims: rest, strides: inner });
  }
}

/** How often each element of each slot is filled. */
const coverage = ({ slots, tensors }: ModelDescription): Map<string, Uint8Array> => {
  const counts = new Map(slots.map(({ name, rows, cols }) => [name, new Uint8Array(rows * cols)]));
  for (const { name, slot, view } of tensors) {
    const count = counts.get(slot);
    if (!count) throw new Error(`${name} goes to "${slot}", which does not exist`);
    for (const element of elements(view)) {
      if (element < 0 || element >= count.length) throw new Error(`${name} leaves ${slot}`);
      count[element] = (count[element] ?? 0) + 1;
    }
  }
  return counts;
};

const variants: readonly [string, Config][] = [
  ...familyNames.map((family): [string, Config] => [family, smallConfig(family)]),
  ['llama', smallConfig('llama', { attention_bias: true, mlp_bias: true })],
  ['llama', smallConfig('llama', { tie_word_embeddings: true, num_key_value_heads: 4 })],
  ['qwen3', smallConfig('qwen3', { attention_bias: true, num_key_value_heads: 1 })],
  ['gpt2', smallConfig('gpt2', { tie_word_embeddings: false, n_inner: 7 })],
  ['gpt_neox', smallConfig('gpt_neox', { attention_bias: false })],
  ...familyNames.map((family): [string, Config] => {
    const stem = describeModel(smallConfig(family), '').family.classStem;
    const architectures = [`${stem}ForSequenceClassification`];
    return [family, smallConfig(family, { architectures, num_labels: 3 })];
  }),
];

variants.forEach(([family, config], index) => {
  test(`${family} (variant ${index}): slots are covered exactly once`, (t) => {
    const model = describeModel(config, 'config.json');
    for (const [slot, count] of coverage(model))
      t.true(
        count.every((n) => n === 1),
        slot,
      );
    for (const { name, shape, view } of model.tensors) {
      t.true(view.dims.length <= 4 && view.dims.length === view.strides.length, name);
      const size = (sizes: readonly number[]) => sizes.reduce((product, n) => product * n, 1);
      t.is(size(view.dims), size(shape), name);
    }
    t.is(new Set(model.tensors.map(({ name }) => name)).size, model.tensors.length);
    t.is(new Set(model.slots.map(({ name }) => name)).size, model.slots.length);
  });
});

test('reference checkpoints: the same names and shapes, covered exactly once', async (t) => {
  for (const folder of await goldenModels()) {
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Config;
    const model = describeModel(config, folder);
    const source = await openTensors(folder);
    const expected = spelledAs(model, source.tensors);
    t.deepEqual(expected.map(({ name }) => name).sort(), [...source.tensors.keys()].sort());
    for (const { name, shape } of expected) {
      t.deepEqual(source.tensors.get(name)?.shape, shape, `${folder} ${name}`);
    }
    for (const [slot, count] of coverage(model)) {
      t.true(
        count.every((n) => n === 1),
        `${folder} ${slot}`,
      );
    }
  }
});

test('slots stand in the fixed order', (t) => {
  const names = (family: string, changes: Config = {}) =>
    describeModel(
      smallConfig(family, { num_hidden_layers: 1, n_layer: 1, ...changes }),
      '',
    ).slots.map(({ name, kind, rows, cols }) => `${name} ${kind} ${rows}x${cols}`);
  t.deepEqual(names('qwen3'), [
    'embed rows 17x12',
    'layers.0.norm1.weight vector 1x12',
    'layers.0.qkv.weight matrix 48x12',
    'layers.0.q_norm vector 1x6',
    'layers.0.k_norm vector 1x6',
    'layers.0.out.weight matrix 12x24',
    'layers.0.norm2.weight vector 1x12',
    'layers.0.up.weight matrix 20x12',
    'layers.0.down.weight matrix 12x10',
    'final_norm.weight vector 1x12',
    'head matrix 17x12',
  ]);
  t.deepEqual(names('gpt2'), [
    'embed matrix 17x12',
    'positions rows 9x12',
    'layers.0.norm1.weight vector 1x12',
    'layers.0.norm1.bias vector 1x12',
    'layers.0.qkv.weight matrix 36x12',
    'layers.0.qkv.bias vector 1x36',
    'layers.0.out.weight matrix 12x12',
    'layers.0.out.bias vector 1x12',
    'layers.0.norm2.weight vector 1x12',
    'layers.0.norm2.bias vector 1x12',
    'layers.0.up.weight matrix 48x12',
    'layers.0.up.bias vector 1x48',
    'layers.0.down.weight matrix 12x48',
    'layers.0.down.bias vector 1x12',
    'final_norm.weight vector 1x12',
    'final_norm.bias vector 1x12',
  ]);
  const architectures = ['LlamaForSequenceClassification'];
  t.is(names('llama', { architectures, num_labels: 1 }).at(-1), 'scalar matrix 1x12');
});

/** Slots filled from tensors, as native code does it. */
const fill = (config: Config): Map<string, { cols: number; data: Float32Array }> => {
  const model = describeModel(config, '');
  const values = randomTensors(config);
  const slots = new Map(
    model.slots.map(({ name, rows, cols }) => [
      name,
      { cols, data: new Float32Array(rows * cols) },
    ]),
  );
  for (const { name, slot, view } of model.tensors) {
    const from = values.get(name)?.data ?? [];
    const to = slots.get(slot)?.data ?? new Float32Array();
    let next = 0;
    for (const element of elements(view)) to[element] = from[next++] ?? NaN;
  }
  return slots;
};

test('q, k, v and gate, up stand one after the other', (t) => {
  const config = smallConfig('qwen2');
  const values = randomTensors(config);
  const slots = fill(config);
  const join = (...names: string[]) =>
    Float32Array.from(names.flatMap((name) => [...(values.get(name)?.data ?? [])]));
  const at = (name: string) => `model.layers.1.${name}`;
  const qkv = ['q', 'k', 'v'].map((name) => at(`self_attn.${name}_proj`));
  t.deepEqual(slots.get('layers.1.qkv.weight')?.data, join(...qkv.map((name) => `${name}.weight`)));
  t.deepEqual(slots.get('layers.1.qkv.bias')?.data, join(...qkv.map((name) => `${name}.bias`)));
  t.deepEqual(
    slots.get('layers.1.up.weight')?.data,
    join(at('mlp.gate_proj.weight'), at('mlp.up_proj.weight')),
  );
});

test('gpt2: weights are transposed', (t) => {
  const disk = randomTensors(smallConfig('gpt2')).get('transformer.h.1.mlp.c_fc.weight');
  const slot = fill(smallConfig('gpt2')).get('layers.1.up.weight');
  // (12, 48) on disk, (48, 12) in the slot
  for (const [input, output] of [
    [0, 0],
    [3, 0],
    [0, 5],
    [11, 47],
  ] as const) {
    t.is(slot?.data[output * 12 + input], disk?.data[input * 48 + output]);
  }
});

test('gpt_neox: query_key_value is taken apart by heads', (t) => {
  const config = smallConfig('gpt_neox'); // 3 heads of 4, width 12
  const name = 'gpt_neox.layers.1.attention.query_key_value';
  const values = randomTensors(config);
  const slots = fill(config);
  for (const [part, head, k] of [
    [0, 0, 0],
    [0, 2, 1],
    [1, 0, 3],
    [2, 1, 2],
  ] as const) {
    const from = (head * 3 + part) * 4 + k;
    const to = (part * 3 + head) * 4 + k;
    const weight = values.get(`${name}.weight`)?.data.slice(from * 12, from * 12 + 12);
    t.deepEqual(slots.get('layers.1.qkv.weight')?.data.slice(to * 12, to * 12 + 12), weight);
    t.is(slots.get('layers.1.qkv.bias')?.data[to], values.get(`${name}.bias`)?.data[from]);
  }
});

test('every family has a small config', (t) => {
  t.deepEqual(Object.keys(smallConfigs).sort(), [...familyNames].sort());
});
