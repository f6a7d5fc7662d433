// What tests of control share.
import { AlignlabError } from '../../src/errors.js';

/** The code of the error that was thrown; empty for an error of another kind. */
export const code = (error: unknown): string => (error instanceof AlignlabError ? error.code : '');
