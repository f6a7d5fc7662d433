// Verdicts as the page shows them: a mark, a word, a colour.
import { type Signature, type Verdict, leaningText, verdictMark } from './report.js';

const classOf: Readonly<Record<Verdict, string>> = {
  holds: 'holds',
  'does not hold': 'fails',
  undetermined: 'open',
  'not tested': 'open',
};

export const verdictHtml = (signature: Signature): string => {
  const { verdict } = signature;
  const leaning = leaningText(signature);
  return (
    `<span class="verdict ${classOf[verdict]}">` +
    `<span aria-hidden="true">${verdictMark[verdict]}</span> ${verdict}</span>` +
    (leaning === '' ? '' : ` <small>(${leaning})</small>`)
  );
};
