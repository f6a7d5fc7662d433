// The script of report.html. Without it the page shows all the same; with it a mark says what it is
// under the pointer, a finger or the arrow keys, and figures can be saved without the files beside
// the page. It fetches nothing.
export const pageScript = `
'use strict';
const paper = '#ffffff', ink = '#1b1f24';
const save = (blob, name) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const ownFile = (svg) => svg.replace(/^<svg [^>]*>/, (tag) =>
  tag.slice(0, -1) + ' color="' + ink + '"><rect width="100%" height="100%" fill="' + paper + '"/>');
const toPng = (svg, width, height) => new Promise((done, fail) => {
  const image = new Image();
  image.onerror = () => fail(new Error('The browser cannot draw this SVG.'));
  image.onload = () => {
    const canvas = document.createElement('canvas');
    canvas.width = 2 * width;
    canvas.height = 2 * height;
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => blob ? done(blob) : fail(new Error('No PNG.')), 'image/png');
  };
  image.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(svg);
});
const cell = (value) => {
  const text = value === null ? '' : String(value);
  return /[",\\r\\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
};
const toCsv = ({ columns, rows }) => [columns, ...rows].map((row) => row.map(cell).join() + '\\n').join('');

const tip = document.createElement('div');
tip.className = 'tip';
tip.setAttribute('role', 'status');
tip.hidden = true;
document.body.append(tip);
let marked = null;
const mark = (element) => {
  marked?.classList.remove('marked');
  marked = element;
  tip.hidden = element === null;
  if (element === null) return;
  element.classList.add('marked');
  tip.textContent = element.dataset.note;
  const box = element.getBoundingClientRect();
  const own = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, box.left + box.width / 2 - own.width / 2), innerWidth - own.width - 8);
  const above = box.top - own.height - 8;
  tip.style.left = left + scrollX + 'px';
  tip.style.top = (above < 8 ? box.bottom + 8 : above) + scrollY + 'px';
};
for (const drawing of document.querySelectorAll('.drawing')) {
  const figure = drawing.closest('figure');
  const svg = drawing.querySelector('svg');
  const original = svg.outerHTML;
  const { width, height } = svg.viewBox.baseVal;
  for (const title of drawing.querySelectorAll('path > title')) {
    title.parentNode.dataset.note = title.textContent;
    title.remove();
  }
  const notes = () => [...drawing.querySelectorAll('[data-note]')].filter((each) => each.getClientRects().length > 0);
  for (const kind of ['pointerover', 'pointerdown']) {
    drawing.addEventListener(kind, (event) => mark(event.target.closest('[data-note]')));
  }
  drawing.addEventListener('pointerleave', () => mark(null));
  drawing.addEventListener('blur', () => mark(null));
  drawing.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === 'Escape') mark(null);
    const all = notes();
    if (step === undefined || all.length === 0) return;
    event.preventDefault();
    const at = all.indexOf(marked);
    mark(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
  });
  const table = figure.querySelector('script');
  const contents = {
    svg: () => new Blob([ownFile(original) + '\\n'], { type: 'image/svg+xml' }),
    png: () => toPng(ownFile(original), width, height),
    csv: () => new Blob([toCsv(JSON.parse(table.textContent))], { type: 'text/csv' }),
    json: () => new Blob([table.textContent + '\\n'], { type: 'application/json' }),
  };
  for (const link of figure.parentNode.querySelectorAll('[data-save]')) {
    const kind = link.dataset.save;
    link.hidden = false;
    link.addEventListener('click', async (event) => {
      event.preventDefault();
      save(await contents[kind](), figure.dataset.name + '.' + kind);
    });
  }
}
`;
