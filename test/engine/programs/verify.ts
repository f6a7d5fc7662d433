// Arguments: reference folders. Prints, for each, the largest errors and whether all rows pass;
// or the code of the error.
import { engineInfo } from '../../../src/engine/device.js';
import { AlignlabError } from '../../../src/errors.js';
import { compareWithReference } from '../../../src/evaluation/reference.js';

try {
  const failures: string[] = [];
  let compared = 0;
  for (const folder of process.argv.slice(2)) {
    for (const { quantity, error, passes } of await compareWithReference(folder)) {
      compared += 1;
      if (!passes) failures.push(`${folder}: ${quantity} ${error}`);
    }
  }
  const { instructionSet } = engineInfo();
  console.log(JSON.stringify({ instructionSet, compared, failures }));
} catch (error) {
  const known = error instanceof AlignlabError;
  console.log(JSON.stringify({ code: known ? error.code : 'none', message: String(error) }));
}
