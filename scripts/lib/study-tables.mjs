// Tables of a finished study for its page of docs: signatures, and returns by seed.
const number = (value) =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();

const measured = ({ value, interval }) => {
  if (value === null) return '';
  return interval ? `${number(value)} [${interval.map(number).join(', ')}]` : number(value);
};

const row = (cells) =>
  `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;

const table = (head, rows) => [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

const verdicts = ({ signatures }) =>
  table(
    ['signature', 'verdict', 'value'],
    signatures.map((each) => [`${each.id} ${each.claim}`, each.verdict, measured(each)]),
  );

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const bySeed = (values) =>
  values ? `${number(mean(values))} (${values.map(number).join(', ')})` : '–';

/** Experiments with a return in the real system and in the simulator for each label. */
const returnsOf = (data) => Object.entries(data).filter(([, value]) => Array.isArray(value?.real));

const returns = ({ experiments }) => {
  const rows = Object.entries(experiments).flatMap(([experiment, data]) =>
    returnsOf(data).map(([label, { real, sim }]) => [experiment, label, bySeed(real), bySeed(sim)]),
  );
  return table(['experiment', 'method', 'real: mean (seeds)', 'simulator: mean (seeds)'], rows);
};

const makers = { verdicts, returns };

/** The page with what lies between `<!-- name -->` and `<!-- /name -->` made anew. */
export const fillTables = (page, result) =>
  Object.entries(makers).reduce((text, [name, make]) => {
    const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(open), text.indexOf(close)];
    if (from < 0 || to < from) return text;
    return `${text.slice(0, from + open.length)}\n\n${make(result)}\n\n${text.slice(to)}`;
  }, page);
