// Each test file runs in a process of its own, so that a crash of the addon names the file that caused it.
export default {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  workerThreads: false,
  timeout: '5m',
  nodeArguments: ['--enable-source-maps', '--import=./scripts/register-ts.mjs'],
};
