// Numbers as the report writes them.
import type { Interval } from '../evaluation/statistics.js';

/** Three significant digits, without noise: 0.123, 12.3, 1230, 0.000123, 1.23e-7. */
export const formatNumber = (value: number): string => {
  if (!Number.isFinite(value)) return String(value);
  if (Number.isSafeInteger(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return String(Number(value.toExponential(2)));
  if (size >= 1000) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
};

export const formatInterval = ([low, high]: Interval): string =>
  `${formatNumber(low)} to ${formatNumber(high)}`;
