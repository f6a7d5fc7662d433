// The package's version, read from package.json beside src/ and dist/.
import { readFileSync } from 'node:fs';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

export const packageVersion = version;
