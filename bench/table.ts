// Rows as aligned text.
const columns: readonly (readonly [title: string, key: string, width: number])[] = [
  ['model', 'model', 12],
  ['dtype', 'dtype', 9],
  ['work', 'work', 9],
  ['unit', 'unit', 9],
  ['ours', 'ours', 9],
  ['peer', 'peer', 9],
  ['ratio', 'ratio', 7],
  ['compiled', 'compiled', 9],
  ['ratio', 'compiled_ratio', 7],
  ['ours/limit', 'ours_share', 11],
  ['peer/limit', 'peer_share', 11],
  ['ours MB', 'ours_peak_mb', 8],
  ['peer MB', 'peer_peak_mb', 8],
  ['MB ratio', 'memory_ratio', 8],
];

function cell(key: string, value: string | number | boolean | undefined): string {
  if (value === undefined) return '-';
  if (typeof value !== 'number') return String(value);
  if (key.endsWith('share')) return `${(100 * value).toFixed(1)} %`;
  if (key.endsWith('mb')) return value.toFixed(0);
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

export function formatTable(
  rows: readonly Readonly<Record<string, string | number | boolean>>[],
  withTitle: boolean,
): string {
  const line = (cells: readonly string[]): string =>
    cells
      .map((text, i) => (i < 4 ? text.padEnd(columns[i]![2]) : text.padStart(columns[i]![2])))
      .join(' ')
      .trimEnd();
  const lines = rows.map((row) => line(columns.map(([, key]) => cell(key, row[key]))));
  return (withTitle ? [line(columns.map(([title]) => title)), ...lines] : lines).join('\n');
}
