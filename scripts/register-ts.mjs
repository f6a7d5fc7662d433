// Lets node run TypeScript through ts-node: node --import ./scripts/register-ts.mjs file.ts
// (ts-node's own command does not load ES modules on Node 20).
import { register } from 'node:module';

register('ts-node/esm', import.meta.url);
