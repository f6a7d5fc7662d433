// Requests to judges.
import type { CompareRequest, JudgedResponse, ScoreRequest } from '../../src/judges/judge.js';

export const response = (text: string, truncated = false): JudgedResponse => ({
  text,
  tokens: Int32Array.from(text, (c) => c.charCodeAt(0) % 17),
  truncated,
});

export const scoreRequest = (text: string, more: Partial<ScoreRequest> = {}): ScoreRequest => ({
  prompt: 'Say it.',
  promptTokens: Int32Array.of(1, 2, 3),
  response: response(text),
  ...more,
});

export const compareRequest = (first: string, second: string): CompareRequest => ({
  prompt: 'Say it.',
  promptTokens: Int32Array.of(1, 2, 3),
  first: response(first),
  second: response(second),
});
