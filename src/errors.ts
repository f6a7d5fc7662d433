// The one error type of the library: a code that programs can switch on, and a message that says
// what was found and the way out. Native code throws with the same codes (native/error.h).

export const errorCodes = [
  'ABORTED',
  'DISPOSED',
  'NON_FINITE',
  'OUT_OF_MEMORY',
  'INTERNAL',
  'CHECKPOINT_INVALID',
  'CHECKPOINT_NOT_FOUND',
  'CONFIG_INVALID',
  'FAMILY_UNSUPPORTED',
  'OPTION_INVALID',
  'BATCH_INVALID',
  'TOKEN_OUT_OF_RANGE',
  'SEQUENCE_TOO_LONG',
  'ISA_UNSUPPORTED',
  'ADDON_NOT_FOUND',
  'ADDON_STALE',
  'IO_FAILED',
  'TOKENIZER_INVALID',
  'DEVICE_LOST',
  'DEVICE_UNAVAILABLE',
  'DATA_INVALID',
  'TEMPLATE_INVALID',
  'JUDGE_FAILED',
  'JUDGE_UNDECIDED',
  'RUN_INVALID',
  'INVARIANT_BROKEN',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

export class AlignlabError extends Error {
  override readonly name = 'AlignlabError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Native rejections carry a code but no JavaScript frames (their stack is one line); rethrowing
 * what this returns gives them some. Anything that is not a coded native error passes unchanged.
 */
export const fromNative = (cause: unknown): unknown => {
  if (cause instanceof AlignlabError) return cause;
  if (!(cause instanceof Error) || !('code' in cause)) return cause;
  const code = errorCodes.find((known) => known === cause.code);
  return code ? new AlignlabError(code, cause.message, { cause }) : cause;
};

const systemReasons: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENOTDIR: 'a part of the path is not a folder',
  EISDIR: 'it is a folder',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'too many files are open',
};

/** An error of the file system, in words: `action` is like "read /models/a/config.json". */
export const fromSystem = (
  cause: unknown,
  action: string,
  code: ErrorCode = 'IO_FAILED',
): AlignlabError => {
  if (cause instanceof AlignlabError) return cause;
  const system = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const detail = cause instanceof Error ? cause.message : String(cause);
  const reason = systemReasons[system] ?? detail;
  return new AlignlabError(
    code,
    `Cannot ${action}: ${reason}. Check the path and its permissions.`,
    {
      cause,
    },
  );
};
