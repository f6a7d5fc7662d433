// Chat templates: where they come from, what they may do, and what happens when they cannot.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ChatTemplate } from '../../src/text/chat-template.js';
import { Encoder } from '../../src/text/encoding.js';
import type { TextRecord } from '../../src/text/example.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { styles, wordTokenizer } from './tokenizers.js';

const hi = [{ role: 'user', content: 'hi' }];
const lines = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}';

test('the template of a checkpoint: a file, a text, a list', async (t) => {
  const folder = await temporaryFolder(t);
  const config = async (chat_template: unknown) =>
    writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ chat_template }));
  t.is(await ChatTemplate.load(folder), null);
  await config(undefined);
  t.is(await ChatTemplate.load(folder), null);
  await config(lines);
  t.is((await ChatTemplate.load(folder))!.render(hi), 'user: hi\n');
  const missing = await caught(() => ChatTemplate.load(folder, 'rag'));
  assertError(t, missing, 'TEMPLATE_INVALID', 'rag', 'without a name');
  await config([
    { name: 'default', template: lines },
    { name: 'tool_use', template: 'tools' },
  ]);
  t.is((await ChatTemplate.load(folder))!.render(hi), 'user: hi\n');
  t.is((await ChatTemplate.load(folder, 'tool_use'))!.render(hi), 'tools');
  const unnamed = await caught(() => ChatTemplate.load(folder, 'rag'));
  assertError(t, unnamed, 'TEMPLATE_INVALID', 'rag', 'tool_use');
  await config(7);
  assertError(t, await caught(() => ChatTemplate.load(folder)), 'TEMPLATE_INVALID', '7');
  await config(lines);
  await writeFile(join(folder, 'chat_template.jinja'), 'from the file');
  t.is((await ChatTemplate.load(folder))!.render(hi), 'from the file');
  const own = await ChatTemplate.read(join(folder, 'chat_template.jinja'));
  t.is(own.render(hi), 'from the file');
  const path = join(folder, 'absent.jinja');
  assertError(t, await caught(() => ChatTemplate.read(path)), 'IO_FAILED', path, 'does not exist');
});

test('tokens and variables reach the template; the date does not', (t) => {
  const template = new ChatTemplate(
    '{{ bos_token }}{{ eos_token }}{{ colour }}' +
      "{% if strftime_now is defined %}{{ strftime_now('%Y') }}{% else %}1 May{% endif %}",
  );
  t.is(template.render(hi), '1 May');
  const options = { bosToken: '<s>', eosToken: '</s>', variables: { colour: 'red ' } };
  t.is(template.render(hi, options), '<s></s>red 1 May');
});

test('errors of templates say what to do', async (t) => {
  const broken = await caught(() => new ChatTemplate('{% for', 'my.jinja'));
  assertError(t, broken, 'TEMPLATE_INVALID', 'my.jinja', 'give another');
  const refusing = new ChatTemplate("{{ raise_exception('Roles must alternate') }}", 'a.jinja');
  const error = await caught(() => refusing.render([...hi, ...hi]));
  assertError(t, error, 'TEMPLATE_INVALID', 'a.jinja', 'user, user', 'Roles must alternate');
});

const answer = [{ role: 'assistant', content: 'you all' }];
const row: TextRecord = {
  kind: 'completion',
  prompt: hi,
  completion: answer,
  origin: 'data.jsonl:7',
};

test('a dialogue without a template is refused with its row', async (t) => {
  const encoder = new Encoder(await wordTokenizer(t, styles.qwen!));
  const error = await caught(() => encoder.encode(row));
  assertError(t, error, 'TEMPLATE_INVALID', 'data.jsonl:7', '.jinja');
});

test('a template that rewrites the prompt is refused, or falls back when told to', async (t) => {
  // As reasoning models do: the opened turn holds something that a written turn does not.
  const thinking = `${lines}{% if add_generation_prompt %}assistant: no {% endif %}`;
  const chatTemplate = new ChatTemplate(thinking, 'think.jinja');
  const tokenizer = await wordTokenizer(t, styles.qwen!);
  const strict = new Encoder(tokenizer, { chatTemplate });
  const error = await caught(() => strict.encode(row));
  assertError(t, error, 'TEMPLATE_INVALID', 'data.jsonl:7', 'think.jinja', 'last-turn', '"');
  const lenient = new Encoder(tokenizer, { chatTemplate, templateFallback: 'last-turn' });
  const { example } = lenient.encode(row);
  t.is(lenient.decode(example!.responses[0]!.tokens), 'you all');
  t.is(lenient.counts.templateFallbacks, 1);
  const long = { ...row, completion: [...answer, ...hi] } as TextRecord;
  assertError(t, await caught(() => lenient.encode(long)), 'TEMPLATE_INVALID', 'data.jsonl:7');
});

test('a text beside a dialogue is a turn', async (t) => {
  const chatTemplate = new ChatTemplate(styles.qwen!.template);
  const encoder = new Encoder(await wordTokenizer(t, styles.qwen!), { chatTemplate });
  const mixed = { ...row, completion: 'you all' } as TextRecord;
  t.deepEqual(encoder.encode(mixed), encoder.encode(row));
  t.deepEqual(encoder.encode({ ...row, prompt: 'hi' }), encoder.encode(row));
});
