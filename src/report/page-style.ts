// The style sheet of report.html: figures beside their claims, one column on a phone, dark where the
// reader's system is, whole on paper.
import { colours } from './style.js';

const darkMarks = colours
  .map(
    ({ light, dark }) =>
      `svg [fill="${light}"]{fill:${dark}}svg [stroke="${light}"]{stroke:${dark}}`,
  )
  .join('');

export const styleSheet = `
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d8dee4;--shade:#f6f8fa;
--good:#11633a;--bad:#a3261b;--link:#0059a8}
@media screen and (prefers-color-scheme:dark){:root{--paper:#15181d;--ink:#e3e7eb;--soft:#a0a9b4;--line:#363c44;
--shade:#1e2329;--good:#5fd39a;--bad:#ff9a8d;--link:#7cc0f5}${darkMarks}}
*{box-sizing:border-box}[hidden]{display:none!important}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,Helvetica,Arial,sans-serif}
main{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem;overflow-wrap:break-word}
main>p,main>ul{max-width:46rem}
h1{font-size:1.7rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.25rem;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:2rem 0 .5rem;grid-column:1/-1}
a,button{color:var(--link)}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.92rem;margin:1.5rem 0}
.question{font-size:1.1rem;padding-left:1rem;border-left:3px solid var(--line)}
.soft,small,.note{color:var(--soft)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--soft);padding-bottom:.5rem}
th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;border-bottom:1px solid var(--line)}
thead th{font-weight:600;color:var(--soft)}
.signatures td{min-width:9rem}
.note{display:block;line-height:1.4;font-size:.88rem;margin-top:.2rem}
.verdict{white-space:nowrap;font-weight:600}
.holds{color:var(--good)}.fails{color:var(--bad)}.open{color:var(--soft)}
:target{background:var(--shade)}
figure{margin:0 0 1rem}
figure svg{display:block;width:100%;height:auto}
.for-narrow{display:none}
.drawing svg{max-width:600px}
.protocol{margin:1.5rem 0}.protocol svg{max-width:900px}
figcaption,.caption{margin:.5rem 0;max-width:46rem}
.claim{color:var(--soft);margin:.5rem 0}
ul.verdicts{list-style:none;margin:.5rem 0;padding:0;font-size:.92rem}
.verdicts li{margin:.5rem 0}
.links{font-size:.88rem;color:var(--soft);margin:.5rem 0;display:flex;gap:.75rem;flex-wrap:wrap}
.links button{font:inherit;background:none;border:0;padding:0;text-decoration:underline;cursor:pointer}
.tip{position:absolute;z-index:1;max-width:20rem;background:var(--ink);color:var(--paper);font-size:.8rem;line-height:1.35;
padding:.35rem .55rem;border-radius:4px;white-space:pre-line;pointer-events:none}
.marked{stroke:currentColor;stroke-width:2px;opacity:1;fill-opacity:1}
pre,code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.86rem}
pre{background:var(--shade);border:1px solid var(--line);border-radius:4px;padding:.75rem;overflow-x:auto}
.samples{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem;margin:.5rem 0 1.5rem}
.samples div{background:var(--shade);border-radius:4px;padding:.75rem}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:.25rem 0 0}
.prompt{border-left:3px solid var(--line);padding-left:.75rem}
.settings{max-width:46rem}
.settings th{font-weight:400;color:var(--soft);width:40%}
.settings td,.settings th{overflow-wrap:anywhere}
summary{cursor:pointer}
@media screen and (min-width:900px),print and (min-width:900px){
.shown{display:grid;grid-template-columns:minmax(0,600px) minmax(15rem,1fr);column-gap:2rem;align-items:start}}
@media screen and (max-width:640px){
.for-wide{display:none}.for-narrow{display:block}
.drawing .for-narrow svg,.protocol .for-narrow svg{max-width:420px;margin:0 auto}
.signatures thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.signatures tr{display:block;border-bottom:1px solid var(--line);padding:.75rem 0}
.signatures th,.signatures td{display:block;border:0;padding:.1rem 0}
.signatures td::before{content:attr(data-label) ": ";color:var(--soft);font-weight:400}}
@media print{:root{color-scheme:light;--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--shade:#fff;
--good:#11633a;--bad:#a3261b}body{font-size:11pt}main{max-width:none;padding:0}
nav,.links,.tip{display:none}
figure,tr,.prompt,.samples div,pre{break-inside:avoid}h2,h3,.prompt{break-after:avoid}a{color:inherit}
pre{white-space:pre-wrap;overflow-wrap:anywhere}details::details-content{content-visibility:visible}}
`;
