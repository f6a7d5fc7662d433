// Rotary position settings of a config.json, in both spellings (rope_theta with rope_scaling, and
// rope_parameters), and the inverse frequencies that follow from them.
import type { ConfigReader } from './config-reader.js';

export interface Rope {
  readonly rotaryDim: number;
  readonly inverseFrequencies: Float32Array;
}

export interface RopeFamily {
  readonly headDim: number;
  readonly maxPosition: number;
  /** Key of the base outside of rope_parameters. */
  readonly thetaKey: 'rope_theta' | 'rotary_emb_base';
  /** Key and default of the rotated share of a head; absent where whole heads are rotated. */
  readonly partial?: { readonly key: string; readonly fallback: number };
}

const supported = 'Supported are default, linear and llama3.';
const f32 = Math.fround;

/** The settings object: rope_scaling wins when it says something, as in transformers. */
const settingsOf = (config: ConfigReader): ConfigReader | null => {
  const settings = config.object('rope_scaling') ?? config.object('rope_parameters');
  // Newer files may nest the settings by layer type; only full attention exists here.
  return settings?.object('full_attention') ?? settings;
};

/** The same setting may stand inside and outside; two different values would be ambiguous. */
const agreeing = (
  config: ConfigReader,
  settings: ConfigReader | null,
  inside: string,
  outside: readonly string[],
  read: (reader: ConfigReader, key: string) => number,
  fallback: number,
): number => {
  const found: { readonly label: string; readonly value: number }[] = [];
  if (settings && !settings.lacks(inside)) {
    found.push({ label: `"${inside}" of the rope settings`, value: read(settings, inside) });
  }
  for (const key of outside) {
    if (!config.lacks(key)) found.push({ label: `"${key}"`, value: read(config, key) });
  }
  const [first, ...others] = found;
  const other = others.find(({ value }) => value !== first?.value);
  if (first && other) {
    throw config.invalid(
      outside[0] ?? inside,
      'one value in all spellings; ' +
        `${first.label} is ${first.value}, ${other.label} is ${other.value}`,
    );
  }
  return first?.value ?? fallback;
};

/** 1 / theta^(2i / dim), each step rounded to f32 as in transformers; an odd dim counts as is. */
const plainFrequencies = (dim: number, theta: number): Float32Array =>
  Float32Array.from({ length: Math.ceil(dim / 2) }, (_, i) =>
    f32(1 / f32(f32(theta) ** f32((2 * i) / dim))),
  );

/**
 * Llama 3.1: wavelengths above old / low are stretched by `factor`, below old / high kept, in
 * between interpolated.
 */
const llama3 = (plain: Float32Array, settings: ConfigReader, original: number): Float32Array => {
  const factor = f32(settings.atLeastOne('factor', 1e6));
  const low = settings.positive('low_freq_factor', 1e6);
  const high = settings.positive('high_freq_factor', 1e6);
  if (high <= low) throw settings.invalid('high_freq_factor', `above low_freq_factor (${low})`);
  return plain.map((frequency) => {
    const wavelength = f32(f32(1 / frequency) * f32(2 * Math.PI));
    if (wavelength > f32(original / low)) return f32(frequency / factor);
    if (wavelength < f32(original / high)) return frequency;
    const turns = f32(f32(1 / wavelength) * f32(original));
    const smooth = f32(f32(turns - f32(low)) / f32(high - low));
    const stretched = f32(f32(f32(1 - smooth) * frequency) / factor);
    return f32(stretched + f32(smooth * frequency));
  });
};

/** How many values of a head are rotated; an odd number means that one more is. */
const rotatedOf = (
  config: ConfigReader,
  settings: ConfigReader | null,
  { headDim, partial }: RopeFamily,
): number => {
  const keys = new Set([...(partial ? [partial.key] : []), 'partial_rotary_factor']);
  const share = agreeing(
    config,
    settings,
    'partial_rotary_factor',
    [...keys],
    (reader, key) => reader.positive(key, 1),
    partial?.fallback ?? 1,
  );
  if (!partial && share !== 1) {
    throw config.unsupported(
      `partial_rotary_factor ${share} has no meaning for this model_type: it rotates whole heads`,
      'Remove the key.',
    );
  }
  const dim = Math.trunc(headDim * share);
  if (dim + (dim % 2) <= headDim) return dim;
  throw config.unsupported(
    `heads of ${headDim} values cannot be rotated in pairs`,
    'Choose a checkpoint with an even head dimension.',
  );
};

export const readRope = (config: ConfigReader, family: RopeFamily): Rope => {
  const settings = settingsOf(config);
  const type = settings ? settings.text('rope_type', settings.text('type', 'default')) : 'default';
  // Both names are read everywhere: files written by different versions carry either or both.
  const thetaKeys = [...new Set([family.thetaKey, 'rope_theta'])];
  const theta = agreeing(
    config,
    settings,
    'rope_theta',
    thetaKeys,
    (reader, key) => reader.atLeastOne(key, 1e15),
    10_000,
  );
  const plain = plainFrequencies(rotatedOf(config, settings, family), theta);
  const done = (inverseFrequencies: Float32Array): Rope => ({
    rotaryDim: 2 * plain.length,
    inverseFrequencies,
  });

  for (const key of ['attention_factor', 'mscale', 'mscale_all_dim']) {
    if (settings && !settings.lacks(key) && settings.get(key) !== 1) {
      throw config.unsupported(`rope settings with "${key}" are not supported`, supported);
    }
  }
  if (type === 'default') {
    if (!settings || settings.lacks('factor') || settings.get('factor') === 1) return done(plain);
    throw settings.invalid('factor', 'absent, or beside a "rope_type" that uses it');
  }
  if (settings && type === 'linear') {
    const factor = f32(settings.atLeastOne('factor', 1e6));
    return done(plain.map((frequency) => frequency / factor));
  }
  if (settings && type === 'llama3') {
    const bounds = { max: 2 ** 31 };
    const original =
      config.optionalInteger('original_max_position_embeddings', bounds) ??
      settings.optionalInteger('original_max_position_embeddings', bounds) ??
      family.maxPosition;
    return done(llama3(plain, settings, original));
  }
  throw config.unsupported(`rope type "${type}" is not supported`, supported);
};
