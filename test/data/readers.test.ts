// File types, their packing, and files that are damaged or written in odd ways.
import { gzipSync } from 'node:zlib';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { serialize } from 'node:v8';
import { execFileSync } from 'node:child_process';
import type { parquetWriteBuffer } from 'hyparquet-writer';
import { type DatasetSpec, openDataset } from '../../src/data/open.js';
import { assertError, caught, temporaryFolder } from '../checkpoint/helpers.js';
import { collectGarbage } from '../helpers/garbage.js';
import { jsonl, withoutOrigin, written, writtenOne } from './files.js';

const rows = [
  { prompt: 'a', completion: 'x' },
  { prompt: 'b\n"q", é', completion: ' y' },
  { prompt: 'c', completion: '日本' },
];
const expected = rows.map((row) => ({ kind: 'completion', ...row }));

const read = async (spec: DatasetSpec) => (await openDataset(spec)).toArray();
const csv = (delimiter: string) =>
  [['prompt', 'completion'], ...rows.map(({ prompt, completion }) => [prompt, completion])]
    .map((cells) => cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(delimiter))
    .join('\n');

const writer = new URL('./write-parquet.mjs', import.meta.url);

const parquetOf = (options: Parameters<typeof parquetWriteBuffer>[0]): Uint8Array =>
  execFileSync(process.execPath, [fileURLToPath(writer)], { input: serialize(options) });

const parquet = (): Uint8Array => {
  const column = (name: 'prompt' | 'completion') => ({
    name,
    data: rows.map((row) => row[name]),
    type: 'STRING' as const,
  });
  const columnData = [column('prompt'), column('completion')];
  return parquetOf({ columnData, rowGroupSize: 2 });
};

const contents: Readonly<Record<string, () => string | Uint8Array>> = {
  'rows.jsonl': () => jsonl(rows),
  'rows.ndjson': () => jsonl(rows).trimEnd(),
  'rows.json': () => JSON.stringify(rows),
  'pretty.json': () => JSON.stringify(rows, null, 2),
  'held.json': () => JSON.stringify({ version: 1, tags: ['t'], data: rows }),
  'held-pretty.json': () => JSON.stringify({ anything: rows }, null, 1),
  'lines.json': () => jsonl(rows),
  'rows.csv': () => csv(','),
  'rows.tsv': () => csv('\t'),
  'rows.parquet': parquet,
};

for (const [name, content] of Object.entries(contents)) {
  test(`${name} is read, plain and gzip'd, also without the suffix`, async (t) => {
    const packed = gzipSync(content());
    const { paths } = await written(t, {
      [name]: content(),
      [`${name}.gz`]: packed,
      [join('sub', name)]: packed,
    });
    for (const path of paths) {
      const records = await read(path);
      t.deepEqual(records.map(withoutOrigin), expected, path);
      t.true(records.every(({ origin }) => origin.startsWith(path)));
    }
  });
}

test('rows are named by line in JSON Lines and CSV, by number elsewhere', async (t) => {
  const origins = async (name: string, content: string | Uint8Array): Promise<string[]> => {
    const path = await writtenOne(t, name, content);
    return (await read(path)).map(({ origin }) => origin.slice(path.length));
  };
  t.deepEqual(await origins('a.jsonl', `\n${jsonl(rows)}`), [':2', ':3', ':4']);
  t.deepEqual(await origins('a.csv', csv(',')), [':2', ':3', ':5']); // the second has two lines
  t.deepEqual(await origins('a.json', JSON.stringify(rows)), [', row 1', ', row 2', ', row 3']);
  t.deepEqual(await origins('a.parquet', parquet()), [', row 1', ', row 2', ', row 3']);
});

test('a byte-order mark, CRLF, empty lines and no line end at the end change nothing', async (t) => {
  const lines = rows.map((row) => JSON.stringify(row));
  for (const [name, text] of [
    ['a.jsonl', `\ufeff${lines.join('\r\n')}`],
    ['b.jsonl', `\n\n${lines.join('\n \n\t\r\n')}\n\n`],
    ['c.json', `\ufeff\r\n[${lines.join(' ,\r\n')}]\r\n\n`],
    ['d.json', `\ufeff${JSON.stringify({ data: rows })}\n`],
  ] as const) {
    t.deepEqual((await read(await writtenOne(t, name, text))).map(withoutOrigin), expected, name);
  }
  const table = '\ufeffprompt,completion\r\n\r\na,x\r\nb,"1\r\n2"\r\n';
  const cells = await read(await writtenOne(t, 'e.csv', table));
  t.like(cells, [
    { prompt: 'a', completion: 'x' },
    { prompt: 'b', completion: '1\r\n2' },
  ]);
});

test('folders and globs give all their files, each once, by name', async (t) => {
  const one = (prompt: string) => jsonl([{ prompt }]);
  const { folder, paths } = await written(t, {
    'b.jsonl': one('b'),
    'a.jsonl.gz': gzipSync(one('a')),
    'deep/c.jsonl': one('c'),
    'dataset_info.json': '{"features": {}}',
    'README.md': '# nothing',
    'a[1].jsonl': one('brackets'),
  });
  const promptsOf = async (path: string | string[]) =>
    (await read({ path })).map((record) => (record.kind === 'prompt' ? record.prompt : ''));
  t.deepEqual(await promptsOf(folder), ['a', 'brackets', 'b', 'c']);
  t.deepEqual(await promptsOf(join(folder, '*.jsonl')), ['brackets', 'b']);
  t.deepEqual(await promptsOf(join(folder, '**/[bc].jsonl')), ['b', 'c']);
  t.deepEqual(await promptsOf([paths[2]!, folder]), ['c', 'a', 'brackets', 'b']);
  t.deepEqual(await promptsOf(paths[5]!), ['brackets'], 'a name that looks like a glob');
  const nothing = await caught(() => promptsOf(join(folder, '*.parquet')));
  assertError(t, nothing, 'DATA_INVALID', 'matches no file', '.csv');
  const { folder: empty } = await written(t, { 'README.md': '' });
  assertError(t, await caught(() => promptsOf(empty)), 'DATA_INVALID', 'without data files');
  const absent = await caught(() => promptsOf(join(folder, 'absent.jsonl')));
  assertError(t, absent, 'IO_FAILED', 'absent.jsonl', 'does not exist');
});

test('a type can be named where the suffix does not tell it', async (t) => {
  const path = await writtenOne(t, 'rows.dat', jsonl(rows));
  assertError(t, await caught(() => read(path)), 'DATA_INVALID', 'rows.dat', "fileType: 'jsonl'");
  t.is((await read({ path, fileType: 'jsonl' })).length, 3);
});

const good = '{"prompt": "a"}\n';
const badLines: readonly (readonly [string, string | Uint8Array, ...(string | RegExp)[]])[] = [
  ['a broken object', '{"prompt": "b"\n', 'not valid JSON'],
  ['a list', '["prompt"]\n', 'the row" is ["prompt"] (a list) where an object'],
  ['null', 'null\n', 'is null where an object'],
  [
    'a repeated key',
    '{"prompt": "b", "x": {"prompt": 1}, "pr\\u006fmpt": "c"}\n',
    '"prompt" is there twice',
  ],
  ['invalid UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22, 10]), 'not valid UTF-8'],
  ['a number', '{"prompt": 7}\n', '"prompt" is 7 (a number)'],
];
for (const [what, line, ...parts] of badLines) {
  test(`JSON Lines: ${what} is named by its line, or left out`, async (t) => {
    const content = Buffer.concat([Buffer.from(good), Buffer.from(line), Buffer.from(good)]);
    const path = await writtenOne(t, 'a.jsonl', content);
    assertError(t, await caught(() => read(path)), 'DATA_INVALID', `${path}:2:`, ...parts);
    const dataset = await openDataset({ path, onBadRow: 'skip' });
    t.is((await dataset.toArray()).length, 2);
    t.like(dataset.counts(), { rows: 3, skipped: 1 });
    t.true(dataset.counts().reasons[0]?.includes(`${path}:2`));
  });

  if (what === 'a broken object') continue; // the list itself is broken then
  test(`JSON: ${what} is named by its row, or left out`, async (t) => {
    const item = Buffer.from(line).subarray(0, -1);
    const content = Buffer.concat([Buffer.from(`[${good},`), item, Buffer.from(`,${good}]`)]);
    const path = await writtenOne(t, 'a.json', content);
    assertError(t, await caught(() => read(path)), 'DATA_INVALID', `${path}, row 2:`, ...parts);
    t.is((await read({ path, onBadRow: 'skip' })).length, 2);
  });
}

test('braces, brackets, commas and quotes within texts do not end rows', async (t) => {
  const nasty = ['}],"', '\\', '\\"', '"', '\\\\"}', '[{', '\u2028', 'tab\t', ''];
  const path = await writtenOne(t, 'a.json', JSON.stringify(nasty.map((prompt) => ({ prompt }))));
  t.deepEqual(
    (await read(path)).map((record) => (record.kind === 'prompt' ? record.prompt : '')),
    nasty,
  );
});

test('a line or element past the limit is refused without being held', async (t) => {
  const huge = 'x'.repeat(3_000_000);
  const text = jsonl([{ prompt: 'a' }, { prompt: huge }, { prompt: 'b' }]);
  for (const [name, content, place] of [
    ['a.jsonl', text, ':2:'],
    ['a.json', JSON.stringify([{ prompt: 'a' }, { prompt: huge }, { prompt: 'b' }]), ', row 2:'],
  ] as const) {
    const path = await writtenOne(t, name, content);
    t.is((await read(path)).length, 3, 'the default allows it');
    const spec = { path, maxRowBytes: 1_000_000 };
    const error = await caught(() => read(spec));
    assertError(t, error, 'DATA_INVALID', place, '30000', 'more than the 1000000', 'maxRowBytes');
    t.is((await read({ ...spec, onBadRow: 'skip' })).length, 2);
  }
});

test('damaged files are named with what is wrong', async (t) => {
  const packed = gzipSync(
    jsonl(Array.from({ length: 2000 }, (_, i) => ({ prompt: `${i * 7919}` }))),
  );
  const wrong = Buffer.from(packed).fill(0xaa, 2000, 2100);
  const table = parquet();
  const files: readonly (readonly [string, string | Uint8Array, ...string[]])[] = [
    ['cut.jsonl.gz', packed.subarray(0, packed.length - 50), 'ends too early', 'Fetch'],
    ['wrong.jsonl.gz', wrong, "gzip'd data is damaged"],
    ['cut.parquet', table.subarray(0, 60), 'cannot be read as Parquet'],
    ['cut.json', '[{"prompt": "a"}, {"prompt": "b', 'in the middle of row 2'],
    ['more.json', '[{"prompt": "a"}] x', 'follows the closing "]"'],
    ['word.json', 'prompt', 'starts with "p"'],
    ['object.json', '{\n"a": [], "b": []}', 'one object with 2 lists'],
    ['empty.json', ' \n', 'it is empty'],
    ['empty.jsonl', '', 'has no rows'],
    ['empty.csv', '', 'has no rows'],
    ['zst.jsonl', Buffer.from('28b52ffd00000000', 'hex'), 'Zstandard', 'unzstd'],
    ['utf16.jsonl', Buffer.from(`\ufeff${good}`, 'utf16le'), 'UTF-16', 'iconv'],
  ];
  for (const [name, content, ...parts] of files) {
    const path = await writtenOne(t, name, content);
    // Left-out rows are no excuse for a file that ends in the middle.
    const spec = { path, onBadRow: 'skip' } as const;
    assertError(t, await caught(() => read(spec)), 'DATA_INVALID', name, ...parts);
  }
});

test('CSV: bad cells, rows and headers are named', async (t) => {
  const error = async (text: string | Uint8Array, ...parts: (string | RegExp)[]) => {
    const path = await writtenOne(t, 'a.csv', text);
    assertError(t, await caught(() => read(path)), 'DATA_INVALID', path, ...parts);
  };
  await error('prompt,prompt\na,b\n', 'column "prompt" twice');
  await error('prompt;completion\na;b\n', 'a single column', '.tsv');
  await error('prompt,completion\na,b\nc\n', ':3:', '1 cells where the header has 2');
  await error('prompt,completion\n"a,b\n', 'not valid CSV');
  await error(Buffer.from('prompt\na\n\xff\n', 'latin1'), ':3:', 'not valid UTF-8');
  await error(`prompt\n"[{'role': 'user', 'content': 'Q'}]"\n`, ':2:', 'json.dumps');
  await error('prompt,completion,label\na,b,maybe\n', ':2:', '"label" is "maybe"');
  const path = await writtenOne(
    t,
    'b.csv',
    ',prompt,completion,label\n0,"[{""role"": ""user"", ""content"": ""Q""}]",A,True\n',
  );
  t.deepEqual((await read(path)).map(withoutOrigin), [
    {
      kind: 'unpaired',
      prompt: [{ role: 'user', content: 'Q' }],
      completion: [{ role: 'assistant', content: 'A' }],
      label: true,
    },
  ]);
  const short = await writtenOne(t, 'c.csv', 'prompt,completion\na,b\nc\nd,e\n');
  t.is((await read({ path: short, onBadRow: 'skip' })).length, 2);
});

test('Parquet: nested messages, 64-bit numbers, dates and nulls become plain values', async (t) => {
  const columnData = [
    { name: 'prompt', data: ['a', 'b'] },
    { name: 'count', data: [1n, 2n ** 60n], type: 'INT64' as const },
    { name: 'day', data: [new Date(0), null], type: 'TIMESTAMP' as const, nullable: true },
    { name: 'extra', data: [{ split: 'train', index: 0 }, null], type: 'JSON' as const },
  ];
  const bytes = parquetOf({ columnData });
  const records = await read(await writtenOne(t, 'a.parquet', bytes));
  t.like(records, [
    {
      prompt: 'a',
      columns: {
        count: 1,
        day: '1970-01-01T00:00:00.000Z',
        extra: { split: 'train', index: 0 },
      },
    },
    { prompt: 'b', columns: { count: String(2n ** 60n), day: null, extra: null } },
  ]);
});

test('nulls in Parquet columns are refused where text is expected', async (t) => {
  const columnData = [
    { name: 'prompt', data: ['a', null], type: 'STRING' as const, nullable: true },
  ];
  const bytes = parquetOf({ columnData });
  const path = await writtenOne(t, 'a.parquet', bytes);
  assertError(t, await caught(() => read(path)), 'DATA_INVALID', 'row 2', '"prompt" is null');
});

test('the manifest holds the hash of each file and what was asked for', async (t) => {
  const path = await writtenOne(t, 'a.jsonl', jsonl(rows));
  const dataset = await openDataset({ path, skip: 1, limit: 5 });
  const sha256 = createHash('sha256').update(jsonl(rows)).digest('hex');
  t.like(dataset.describe(), { skip: 1, limit: 5 });
  const [file] = dataset.describe().of as { files: unknown; format: string }[];
  const bytes = Buffer.byteLength(jsonl(rows));
  t.deepEqual(file!.files, [{ path, type: 'jsonl', bytes, sha256 }]);
  t.is(file!.format, 'prompt-completion');
  t.deepEqual(
    (await dataset.toArray()).map(({ origin }) => origin),
    [`${path}:2`, `${path}:3`],
  );
  t.deepEqual(JSON.parse(JSON.stringify(dataset.describe())), dataset.describe());
});

test('specifications are checked, with the nearest option', async (t) => {
  const error = async (spec: unknown, ...parts: string[]) => {
    assertError(
      t,
      await caught(() => openDataset(spec as DatasetSpec)),
      'OPTION_INVALID',
      ...parts,
    );
  };
  await error({ path: 'x', colums: {} }, 'data has no option "colums"', 'mean "columns"?');
  await error({ path: 'x', limit: 0.5 }, 'data.limit');
  await error({ path: 'x', onBadRow: 'ignore' }, 'data.onBadRow', 'skip');
  await error({ mixture: [{ path: 'x', wieght: 2 }] }, 'data.mixture.0', 'mean "weight"?');
  await error({ path: [] }, 'data.path');
});

// 160 MB of rows of 1 KB each, as a stream: read whole, they would take several times as much.
for (const name of ['large.jsonl', 'large.json', 'large.csv']) {
  test.serial(`${name} larger than the memory it is read with is streamed`, async (t) => {
    const path = join(await temporaryFolder(t), name);
    const count = 160_000;
    const text = 'word '.repeat(200);
    const file = createWriteStream(path);
    const [open, close] = { jsonl: ['', ''], json: ['[', ']'], csv: ['prompt,id\n', ''] }[
      name.split('.')[1] as 'jsonl' | 'json' | 'csv'
    ] as [string, string];
    file.write(open);
    for (let i = 0; i < count; i += 1000) {
      const part = Array.from({ length: 1000 }, (_, k) =>
        name.endsWith('csv') ? `"${text}",${i + k}` : JSON.stringify({ prompt: text, id: i + k }),
      ).join(name.endsWith('.json') ? ',' : '\n');
      const separator = i + 1000 === count ? '' : name.endsWith('.json') ? ',' : '\n';
      if (!file.write(part + separator)) await once(file, 'drain');
    }
    file.end(close);
    await finished(file);
    const dataset = await openDataset(path);
    await collectGarbage();
    const before = process.memoryUsage().rss;
    let [most, seen] = [0, 0];
    for await (const _ of dataset) {
      if (++seen % 5000 === 0) most = Math.max(most, process.memoryUsage().rss - before);
    }
    t.is(seen, count);
    // The young generation of the heap and the chunks under way; a quarter of the file.
    t.true(most < 80e6, `${Math.round(most / 1e6)} MB more were held`);
  });
}
