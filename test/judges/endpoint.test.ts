// The endpoint judge against a server of this test: verdicts, retries, time limits, garbage, cost.
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { askVerdicts } from '../../src/judges/checked.js';
import {
  endpointJudge,
  endpointScoreJudge,
  parseLetter,
  parseScore,
} from '../../src/judges/endpoint.js';
import { assertError, caught } from '../checkpoint/helpers.js';
import { compareRequest, scoreRequest } from './helpers.js';

interface Question {
  readonly model: string;
  readonly temperature: number;
  readonly max_tokens: number;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}
type Reply = (question: Question, response: ServerResponse, request: IncomingMessage) => void;

const serve = async (t: ExecutionContext, reply: Reply): Promise<string> => {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      reply(JSON.parse(body) as Question, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
};

const say = (response: ServerResponse, content: string): void => {
  const usage = { prompt_tokens: 10, completion_tokens: 1 };
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ choices: [{ message: { content } }], usage }));
};
const refuse = (response: ServerResponse, status: number): void => {
  response.statusCode = status;
  response.end('{}');
};

/** The texts shown as A and B. */
const shown = ({ messages }: Question): readonly [string, string] => {
  const text = messages.at(-1)!.content;
  const [, a = '', b = ''] =
    /<response_a>\n(.*)\n<\/response_a>\s*<response_b>\n(.*)\n</s.exec(text) ?? [];
  return [a, b];
};
const byLength: Reply = (question, response) => {
  const [a, b] = shown(question);
  say(response, a.length === b.length ? 'C' : a.length > b.length ? 'A' : '**B**');
};
const fast = { model: 'm', backoffMs: 1, apiKey: 'secret-key', retries: 3 };

test('asks in both orders and counts the cost', async (t) => {
  const questions: Question[] = [];
  const url = await serve(t, (question, response, request) => {
    t.is(request.url, '/v1/chat/completions');
    t.is(request.headers.authorization, 'Bearer secret-key');
    questions.push(question);
    byLength(question, response, request);
  });
  const judge = endpointJudge({ ...fast, url });
  const pairs = [
    compareRequest('long one', 'short'),
    compareRequest('a', 'bbb'),
    compareRequest('a', 'b'),
  ];
  t.deepEqual(await askVerdicts(judge, pairs), [
    { preference: 1, orders: [1, 0] },
    { preference: 0, orders: [0, 1] },
    { preference: 0.5, orders: [0.5, 0.5] },
  ]);
  t.is(questions.length, 6);
  t.is(new Set(questions.map((each) => shown(each).join())).size, 6);
  t.true(questions.every((each) => each.model === 'm' && each.temperature === 0));
  t.deepEqual(judge.usage(), {
    requests: 6,
    attempts: 6,
    failed: 0,
    unparsed: 0,
    promptTokens: 60,
    completionTokens: 6,
    wastedTokens: 0,
  });
  t.is(judge.name, 'endpoint:m');
  t.false(JSON.stringify(judge).includes('secret'), 'the key is nowhere in sight');
});

test('a verdict that follows the place is a tie, with both orders on record', async (t) => {
  const url = await serve(t, (_, response) => {
    say(response, 'A');
  });
  const verdicts = await askVerdicts(endpointJudge({ ...fast, url }), [compareRequest('x', 'y')]);
  t.deepEqual(verdicts, [{ preference: 0.5, orders: [1, 1] }]);
});

test('answers that cannot be read are no verdict, never a tie, and are paid for', async (t) => {
  const url = await serve(t, (question, response) => {
    say(response, shown(question)[0] === 'x' ? 'As an AI I cannot say.' : 'A');
  });
  const judge = endpointJudge({ ...fast, url });
  const [verdict] = await askVerdicts(judge, [compareRequest('x', 'y')]);
  t.is(verdict!.preference, null);
  t.regex(verdict!.reason!, /cannot be read|can be read/);
  t.like(judge.usage(), { requests: 2, attempts: 2, failed: 0, unparsed: 1, wastedTokens: 11 });
});

test('is patient with 429 and 5xx, and with bodies that are no completion', async (t) => {
  let calls = 0;
  const url = await serve(t, (question, response, request) => {
    calls += 1;
    if (calls === 1) refuse(response, 429);
    else if (calls === 2) refuse(response, 503);
    else if (calls === 3) response.end('<html>gateway</html>');
    else byLength(question, response, request);
  });
  const judge = endpointJudge({ ...fast, url, bothOrders: false });
  t.deepEqual(await askVerdicts(judge, [compareRequest('long', 'x')]), [{ preference: 1 }]);
  t.like(judge.usage(), { requests: 1, attempts: 4, failed: 0 });
});

test('gives up after its retries: no verdict, counted, and others go on', async (t) => {
  const url = await serve(t, (question, response, request) => {
    if (shown(question).includes('bad')) refuse(response, 500);
    else byLength(question, response, request);
  });
  const judge = endpointJudge({ ...fast, url, retries: 2 });
  const verdicts = await askVerdicts(judge, [
    compareRequest('bad', 'x'),
    compareRequest('yy', 'x'),
  ]);
  t.deepEqual(
    verdicts.map(({ preference }) => preference),
    [null, 1],
  );
  t.like(judge.usage(), { requests: 4, attempts: 2 * 3 + 2, failed: 2, unparsed: 0 });
});

test('a server that is too slow, that hangs up, or that is not there, gives no verdict', async (t) => {
  const slow = await serve(t, () => undefined);
  const started = performance.now();
  const options = { ...fast, retries: 1, timeoutMs: 50, bothOrders: false };
  const judge = endpointJudge({ ...options, url: slow });
  t.is((await askVerdicts(judge, [compareRequest('x', 'y')]))[0]!.preference, null);
  t.true(performance.now() - started < 5000);
  t.like(judge.usage(), { attempts: 2, failed: 1 });

  const rude = await serve(t, (_, response) => response.destroy());
  const dropped = endpointJudge({ ...options, url: rude, timeoutMs: 2000 });
  t.is((await askVerdicts(dropped, [compareRequest('x', 'y')]))[0]!.preference, null);
  t.like(dropped.usage(), { attempts: 2, failed: 1 });

  const nobody = endpointJudge({ ...options, url: 'http://127.0.0.1:1/v1', timeoutMs: 2000 });
  t.is((await askVerdicts(nobody, [compareRequest('x', 'y')]))[0]!.preference, null);
  t.like(nobody.usage(), { attempts: 2, failed: 1 });
});

test('a question that is refused fails alone; a wrong key fails the judge, once', async (t) => {
  const url = await serve(t, (question, response, request) => {
    if (shown(question).includes('much too long')) refuse(response, 400);
    else byLength(question, response, request);
  });
  const judge = endpointJudge({ ...fast, url });
  const pairs = [compareRequest('much too long', 'x'), compareRequest('yy', 'x')];
  const verdicts = await askVerdicts(judge, pairs);
  t.deepEqual(
    verdicts.map(({ preference }) => preference),
    [null, 1],
  );
  t.like(judge.usage(), { attempts: 4, failed: 2 });

  const locked = await serve(t, (_, response) => {
    refuse(response, 401);
  });
  const refused = endpointJudge({ ...fast, url: locked, concurrency: 1 });
  const error = await caught(() => askVerdicts(refused, [...pairs, ...pairs]));
  assertError(t, error, 'JUDGE_FAILED', '401', 'API key');
  t.false(String((error as Error).stack).includes('secret-key'));
  t.is(refused.usage().attempts, 1);
});

test('never more requests at once than allowed', async (t) => {
  let running = 0;
  let most = 0;
  const url = await serve(t, (question, response, request) => {
    most = Math.max(most, ++running);
    setTimeout(() => {
      running -= 1;
      byLength(question, response, request);
    }, 10);
  });
  const judge = endpointJudge({ ...fast, url, concurrency: 3 });
  const pairs = Array.from({ length: 10 }, (_, i) => compareRequest('y'.repeat(i + 1), ''));
  t.true((await askVerdicts(judge, pairs)).every(({ preference }) => preference === 1));
  t.is(most, 3);
});

test('an abort ends the call', async (t) => {
  const url = await serve(t, () => undefined);
  const judge = endpointJudge({ ...fast, url });
  const signal = AbortSignal.timeout(50);
  const started = performance.now();
  t.truthy(await caught(() => judge.compare([compareRequest('x', 'y')], { signal })));
  t.true(performance.now() - started < 5000);
});

test('scores responses from 1 to 10', async (t) => {
  const url = await serve(t, (question, response) => {
    say(response, question.messages[1]!.content.includes('good') ? 'Score: 9/10' : 'eleven');
  });
  const judge = endpointScoreJudge({ ...fast, url });
  t.deepEqual(await judge.score([scoreRequest('good'), scoreRequest('bad')]), [9, null]);
});

test('a key goes where it is meant to go, and nowhere else', async (t) => {
  const sent: (string | undefined)[] = [];
  const url = await serve(t, (_, response, request) => {
    sent.push(request.headers.authorization);
    say(response, 'A');
  });
  process.env.OPENAI_API_KEY = 'of-openai';
  process.env.ALIGNLAB_TEST_KEY = 'of-test';
  t.teardown(() => {
    delete process.env.OPENAI_API_KEY;
    delete process.env.ALIGNLAB_TEST_KEY;
  });
  const named = { url, model: 'm', apiKeyVariable: 'ALIGNLAB_TEST_KEY' };
  await endpointJudge(named).compare([compareRequest('x', 'y')]);
  await endpointJudge({ url, model: 'm' }).compare([compareRequest('x', 'y')]);
  t.deepEqual(sent, ['Bearer of-test', 'Bearer of-test', undefined, undefined]);
  const absent = await caught(() => endpointJudge({ ...named, apiKeyVariable: 'ALIGNLAB_NO_KEY' }));
  assertError(t, absent, 'OPTION_INVALID', 'ALIGNLAB_NO_KEY');
  delete process.env.OPENAI_API_KEY;
  const openai = { url: 'https://api.openai.com/v1', model: 'm' };
  assertError(t, await caught(() => endpointJudge(openai)), 'OPTION_INVALID', 'OPENAI_API_KEY');
});

test('what counts as an answer', (t) => {
  for (const text of ['A', ' a.', '[[A]]', 'Answer: A', '**A**', '"A"'])
    t.is(parseLetter(text), 1, text);
  t.is(parseLetter('Verdict: B'), 0);
  t.is(parseLetter('C'), 0.5);
  for (const text of ['', 'A or B', 'AB', 'A is better', 'D', 'Both', '-1']) {
    t.is(parseLetter(text), null, text);
  }
  t.is(parseScore('10'), 10);
  for (const text of ['0', '11', '7.5', 'seven', '3 or 4', '']) t.is(parseScore(text), null, text);
});

test('bad options are refused, without showing a password', async (t) => {
  for (const options of [
    { url: 'not a url' },
    { url: 'ftp://host/v1' },
    { url: 'http://user:hunter2@host/v1' },
    { url: 'http://host/v1', concurrency: 0 },
    { url: 'http://host/v1', retries: -1 },
    { url: 'http://host/v1', timeoutMs: NaN },
  ]) {
    const error = await caught(() => endpointJudge({ ...fast, ...options }));
    assertError(t, error, 'OPTION_INVALID');
    t.false(String(error).includes('hunter2'));
  }
});
