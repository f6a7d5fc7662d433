// The performance-gap study from a script: npm run ts -- examples/performance-gap.ts [scale] [folder]
import { performanceGap, recipeOf } from '../src/index.js'; // elsewhere: from 'alignlab'

const [scale = 'ci', folder = 'performance-gap'] = process.argv.slice(2);
const { signatures, lab, report } = await performanceGap({
  recipe: recipeOf(scale),
  folder,
  only: ['fig-1', 'fig-4'],
  resume: true,
  jobs: 2,
  onEvent: ({ stage, kind }) => {
    if (kind === 'finished') console.error(stage);
  },
});
for (const { id, verdict, value } of signatures) console.log(id, verdict, value);
for (const { name, result } of lab.arms()) {
  console.log(name, ...result.points.map(({ winRate }) => winRate.toFixed(2)));
}
console.log(report);
