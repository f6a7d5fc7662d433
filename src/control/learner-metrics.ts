// What updates of a learner tell about themselves.
import { type LearnerOptions, usesDiscriminators } from './learner-options.js';

/** Means over the updates of a call. What the algorithm does not have is absent. */
export interface LearnerMetrics {
  /** Of both critics, all terms. */
  readonly qLoss: number;
  /** Its squared errors alone. */
  readonly bellmanLoss: number;
  /** H2O's or CQL's difference before its weight, mean of the critics. */
  readonly penalty?: number;
  readonly policyLoss: number;
  readonly alpha: number;
  /** -mean ln π(a|s), nats. */
  readonly entropy: number;
  /** Of the first critic on recorded actions. */
  readonly qReal?: number;
  readonly qSim?: number;
  /** w = clamp(P_real / P_sim) on simulated transitions. */
  readonly meanW?: number;
  readonly meanRootW?: number;
  /** Fraction with ln(P_real / P_sim) below 95 % of its lowest possible value. */
  readonly floorFraction?: number;
  /** u, the estimate of the dynamics gap, and the fraction clamped from below. */
  readonly meanU?: number;
  readonly clampedU?: number;
  /** Cross-entropies of the discriminators of (s, a) and (s, a, s'); chance is 2 ln 2. */
  readonly dSaLoss?: number;
  readonly dSasLoss?: number;
}

/** In the order of ControlMetric in native/backend/control_operations.h. */
const metricNames = [
  'qLoss',
  'bellmanLoss',
  'penalty',
  'policyLoss',
  'alpha',
  'entropy',
  'qReal',
  'qSim',
  'meanW',
  'meanRootW',
  'floorFraction',
  'meanU',
  'clampedU',
  'dSaLoss',
  'dSasLoss',
] as const satisfies readonly (keyof LearnerMetrics)[];

/** The metrics that updates with these options do not have. */
export const absentMetrics = ({ algorithm, h2o = {} }: LearnerOptions): ReadonlySet<string> => {
  const absent = new Set<string>();
  const leaveOut = (holds: boolean, ...gone: (keyof LearnerMetrics)[]): void => {
    if (holds) for (const name of gone) absent.add(name);
  };
  leaveOut(
    !usesDiscriminators(algorithm),
    'meanW',
    'meanRootW',
    'floorFraction',
    'dSaLoss',
    'dSasLoss',
  );
  const penalised = algorithm === 'h2o' && h2o.penalty !== false;
  leaveOut(!penalised && algorithm !== 'cql', 'penalty');
  leaveOut(!penalised || h2o.adaptiveGap === false, 'meanU', 'clampedU');
  leaveOut(algorithm === 'cql', 'qSim');
  leaveOut(algorithm === 'sac' || algorithm === 'darc', 'qReal');
  return absent;
};

/** One member's part of what the engine returns. */
export const metricsOf = (
  values: Float64Array,
  member: number,
  absent: ReadonlySet<string>,
): LearnerMetrics => {
  const first = member * metricNames.length;
  const entries = metricNames.map((name, i) => [name, values[first + i]!] as const);
  return Object.fromEntries(
    entries.filter(([name]) => !absent.has(name)),
  ) as unknown as LearnerMetrics;
};
