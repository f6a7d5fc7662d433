// The protocol of the study as a diagram: what is learned from what, and what judges whom.
import type { DiagramDescription } from '../../report/diagram.js';

export const protocol: DiagramDescription = {
  nodes: [
    {
      id: 'initial',
      label: 'D_initial',
      sublabel: "pairs with the rater's labels",
      kind: 'data',
      column: 0,
      row: 0,
    },
    {
      id: 'golden-model',
      label: 'Golden preference model',
      sublabel: 'the truth from here on',
      column: 1,
      row: 0,
    },
    {
      id: 'golden-data',
      label: 'D_golden',
      sublabel: 'the same pairs, relabelled',
      kind: 'data',
      column: 1,
      row: 1,
    },
    {
      id: 'proxy',
      label: 'Proxy preference model',
      sublabel: 'smaller, trained on D_golden',
      column: 2,
      row: 1,
    },
    {
      id: 'sft',
      label: 'SFT policy',
      sublabel: 'start and reference of all policies',
      column: 2,
      row: 2,
    },
    {
      id: 'golden-policy',
      label: 'Golden policy',
      sublabel: 'the opponent, fixed',
      column: 3,
      row: 0,
    },
    {
      id: 'online',
      label: 'Online arm',
      sublabel: 'its own samples',
      column: 3,
      row: 1,
      arm: 0,
    },
    {
      id: 'offline',
      label: 'Offline arm',
      sublabel: 'the pairs as they are',
      column: 3,
      row: 3,
      arm: 1,
    },
    {
      id: 'win-rate',
      label: 'Win rate',
      sublabel: 'against KL from the SFT policy',
      kind: 'measure',
      column: 4,
      row: 1,
      rows: 3,
    },
  ],
  edges: [
    { from: 'initial', to: 'golden-model', label: 'trains' },
    { from: 'golden-model', to: 'golden-data', label: 'relabels' },
    { from: 'golden-model', to: 'golden-policy', label: 'trains, online' },
    { from: 'golden-data', to: 'proxy' },
    { from: 'golden-data', to: 'sft', leave: 'below', label: 'both responses' },
    { from: 'golden-data', to: 'offline', leave: 'below', label: 'fixed pairs' },
    { from: 'proxy', to: 'online', label: 'labels' },
    { from: 'sft', to: 'online' },
    { from: 'sft', to: 'offline' },
    { from: 'online', to: 'win-rate' },
    { from: 'offline', to: 'win-rate' },
    { from: 'golden-policy', to: 'win-rate', enter: 'above', label: 'opponent' },
    { from: 'golden-model', to: 'win-rate', leave: 'above', enter: 'above', label: 'judges' },
  ],
  caption:
    'The two arms differ in the source of their pairs and in nothing else. Proxy labels train, ' +
    'golden labels measure.',
};
