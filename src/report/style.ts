// The look of the figures. Text and axes are drawn in currentColor, so that they follow the page
// into the dark; each arm has a colour, a dash and a symbol, so that none hangs on colour alone.

export const font = 'system-ui, Helvetica, Arial, sans-serif';

/**
 * After the palette of Okabe and Ito, darkened to a contrast of at least 4.5 on white; `dark` to as
 * much on the page's dark background.
 */
export const colours = [
  { light: '#0072b2', dark: '#62b5ec' }, // blue
  { light: '#cc4c00', dark: '#f58b4c' }, // vermilion
  { light: '#00856a', dark: '#2fbf95' }, // bluish green
  { light: '#7a1f6b', dark: '#d873bd' }, // purple
  { light: '#574300', dark: '#ecd87a' }, // umber
  { light: '#6c7683', dark: '#a3adba' }, // grey
] as const;

const symbols = ['circle', 'square', 'triangle-up', 'diamond', 'cross', 'triangle-down'] as const;
const dashes = [[], [7, 3], [2, 2.5], [8, 3, 2, 3], [4, 2], [12, 3]] as const;

export interface Look {
  readonly colour: string;
  readonly symbol: string;
  readonly dash: readonly number[];
}

/** Of the i-th arm. After six the colours come again with other symbols and dashes. */
export const lookOf = (i: number): Look => {
  const round = Math.floor(i / colours.length);
  return {
    colour: colours[i % colours.length]!.light,
    symbol: symbols[(i + round) % symbols.length]!,
    dash: dashes[(i + round) % dashes.length]!,
  };
};

/** vega-lite's config of every figure. */
export const config = {
  font,
  background: null,
  view: { stroke: null },
  axis: {
    aria: false,
    labelColor: 'currentColor',
    labelOpacity: 0.8,
    labelFontSize: 12,
    titleColor: 'currentColor',
    titleFontSize: 13,
    titleFontWeight: 'normal',
    titlePadding: 8,
    gridColor: 'currentColor',
    gridOpacity: 0.12,
    domainColor: 'currentColor',
    domainOpacity: 0.4,
    tickColor: 'currentColor',
    tickOpacity: 0.4,
    labelOverlap: true,
    labelFlush: false,
  },
  text: { font, fontSize: 12, color: 'currentColor' },
} as const;
