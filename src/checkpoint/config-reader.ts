// Typed access to the keys of a config.json. Every complaint names the file, the key, what was
// found and what would do.
import { AlignlabError } from '../errors.js';
import { type JsonObject, isObject, show } from './json.js';

interface Bounds {
  readonly min?: number;
  readonly max: number;
}

export class ConfigReader {
  constructor(
    readonly values: JsonObject,
    /** File, and the nested object if any: what messages begin with. */
    readonly where: string,
  ) {}

  /** The value of a key of the file itself, never of Object.prototype. */
  get(key: string): unknown {
    return Object.hasOwn(this.values, key) ? this.values[key] : undefined;
  }

  /** Neither present nor null. */
  lacks(key: string): boolean {
    return (this.get(key) ?? null) === null;
  }

  invalid(key: string, expected: string): AlignlabError {
    return new AlignlabError(
      'CONFIG_INVALID',
      `${this.where}: "${key}" is ${show(this.get(key))}; it must be ${expected}. ` +
        'Correct the file, or fetch the checkpoint again.',
    );
  }

  unsupported(feature: string, wayOut: string): AlignlabError {
    return new AlignlabError('FAMILY_UNSUPPORTED', `${this.where}: ${feature}. ${wayOut}`);
  }

  /** An integer; absent means `fallback` where there is one. */
  integer(key: string, { min = 1, max }: Bounds, fallback?: number): number {
    const value = this.get(key) === undefined ? fallback : this.get(key);
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) {
      return value;
    }
    throw this.invalid(key, `an integer from ${min} to ${max}`);
  }

  /** An integer, or null when the key is null or absent. */
  optionalInteger(key: string, bounds: Bounds): number | null {
    return this.lacks(key) ? null : this.integer(key, bounds);
  }

  /** A number in (0, max]; absent or null means `fallback` where there is one. */
  positive(key: string, max: number, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (typeof value === 'number' && value > 0 && value <= max) return value;
    throw this.invalid(key, `a number above 0 and at most ${max}`);
  }

  /** A number in [1, max]. */
  atLeastOne(key: string, max: number): number {
    const value = this.get(key);
    if (typeof value === 'number' && value >= 1 && value <= max) return value;
    throw this.invalid(key, `a number from 1 to ${max}`);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.invalid(key, 'true or false');
  }

  text(key: string, fallback: string | null = null): string {
    const value = this.get(key) ?? fallback;
    if (typeof value === 'string') return value;
    throw this.invalid(key, 'a string');
  }

  /** A nested object, or null when the key is null, absent or {}. */
  object(key: string): ConfigReader | null {
    if (this.lacks(key)) return null;
    const value = this.get(key);
    if (!isObject(value)) throw this.invalid(key, 'an object');
    return Object.keys(value).length ? new ConfigReader(value, `${this.where}: "${key}"`) : null;
  }
}
