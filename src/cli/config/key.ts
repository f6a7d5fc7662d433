// What the schema says about one key besides its type: enough for YAML, for a flag and for --help.
import { z } from 'zod';

export type KeyKind = 'number' | 'boolean' | 'text' | 'any';

/** When a key has something to act on; elsewhere, setting it to another value raises. */
export type KeyScope =
  'always' | 'reference' | 'samples' | 'pairs' | 'mixture' | 'hybrid' | 'critic';

export interface KeyInfo {
  readonly help: string;
  readonly group: string;
  readonly kind: KeyKind;
  readonly default: unknown;
  readonly scope: KeyScope;
}

export const keyInfo = new Map<z.ZodType, KeyInfo>();

interface Said<T> {
  readonly default: T;
  readonly scope?: KeyScope;
}

/** Keys of one heading of --help. */
export const keysOf = (group: string) => {
  const key = <S extends z.ZodType>(
    kind: KeyKind,
    schema: S,
    help: string,
    said: Said<z.output<S>>,
  ): S => {
    const { default: value, scope = 'always' } = said;
    const own = schema.clone(); // schemas such as `words` serve several keys
    keyInfo.set(own, { help, group, kind, default: value, scope });
    return own;
  };
  return {
    number: <S extends z.ZodType>(schema: S, help: string, said: Said<z.output<S>>) =>
      key('number', schema, help, said),
    flag: (help: string, said: Said<boolean> = { default: false }) =>
      key('boolean', z.boolean(), help, said),
    text: <S extends z.ZodType>(schema: S, help: string, said: Said<z.output<S>>) =>
      key('text', schema, help, said),
    any: <S extends z.ZodType>(schema: S, help: string, said: Said<z.output<S>>) =>
      key('any', schema, help, said),
  };
};

export const whole = (least: number) => z.int().min(least);
export const positive = z.number().positive();
export const fraction = z.number().min(0).max(1);
export const words = z.string().min(1);
