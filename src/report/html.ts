// Text inside HTML and SVG.

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For element contents and quoted attributes; control characters that XML forbids become U+FFFD. */
export const escapeHtml = (text: string): string =>
  text
    // eslint-disable-next-line no-control-regex -- the characters that XML 1.0 does not allow
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '\ufffd')
    .replace(/[&<>"']/g, (character) => entities[character]!);
