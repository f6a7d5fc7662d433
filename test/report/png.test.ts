// PNG files: an optional package, named where it is missing.
import test from 'ava';
import { AlignlabError } from '../../src/errors.js';
import { toSvg } from '../../src/report/drawing.js';
import { pngRenderer } from '../../src/report/png.js';

test('a missing package is named, with the way out', async (t) => {
  const error = await t.throwsAsync(pngRenderer('@resvg/absent'), { instanceOf: AlignlabError });
  t.is(error.code, 'OPTION_INVALID');
  t.true(error.message.includes('npm install @resvg/absent'));
});

test('where the package is installed, a figure becomes a PNG of twice its size', async (t) => {
  const render = await pngRenderer().catch((error: unknown) => {
    t.true(error instanceof AlignlabError);
    return null;
  });
  if (!render) return;
  const png = render(toSvg({ width: 30, height: 20, body: '<rect width="9" height="9"/>' }, 'a'));
  t.is(png.subarray(1, 4).toString('latin1'), 'PNG');
  t.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [60, 40]);
});
