// npm test: installs and builds what is missing, runs the native tests and then AVA, and ends with
// one line that counts both. `npm test -- FILES` runs AVA on those files only, `npm test -- native`
// the native tests only. --asan: the native tests of the AddressSanitizer build; --no-build: as it is.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { buildNative, runNativeTests } from './lib/native.mjs';
import { ensurePackages } from './lib/prepare.mjs';
import { main, root, tool } from './lib/run.mjs';

async function runAva(files) {
  const ava = spawn(tool('ava'), ['--tap', ...files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => ava.on('close', resolve));
  const totals = { passed: 0, failed: 0 };
  for await (const line of createInterface({ input: ava.stdout })) {
    const total = /^# (pass|fail) (\d+)$/.exec(line);
    if (total) totals[`${total[1]}ed`] = Number(total[2]);
    else if (!/^(TAP version|1\.\.\d+$|#|---tty-stream|$)/.test(line)) console.log(line);
  }
  // A crashed worker or a run without tests is a failure that TAP does not count.
  if ((await exit) !== 0 || totals.passed === 0) totals.failed = Math.max(totals.failed, 1);
  return totals;
}

await main(async () => {
  const args = process.argv.slice(2);
  const files = args.filter((argument) => !argument.startsWith('--') && argument !== 'native');
  const onlyNative = args.includes('native');
  ensurePackages();
  const totals = { passed: 0, failed: 0 };
  const add = ({ passed, failed }) => {
    totals.passed += passed;
    totals.failed += failed;
  };
  if (files.length === 0) {
    add(runNativeTests(await buildNative('tests', { asan: args.includes('--asan') })));
  } else if (!args.includes('--no-build')) {
    await buildNative('addon');
  }
  if (!onlyNative) add(await runAva(files));
  console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
  if (totals.failed > 0) process.exitCode = 1;
});
