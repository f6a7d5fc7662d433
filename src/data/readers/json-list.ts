// Cuts a JSON list that arrives in pieces into its elements, without parsing them. Works on bytes:
// in UTF-8 the bytes of structural characters occur nowhere else.

export interface Element {
  /** From 1. */
  readonly number: number;
  /** The element's text; of one longer than the limit, nothing. */
  readonly bytes: Buffer;
  readonly size: number;
}

const code = (character: string): number => character.charCodeAt(0);
const [quote, backslash, comma] = [code('"'), code('\\'), code(',')];
const opening = new Set([code('['), code('{')]);
const closing = new Set([code(']'), code('}')]);
const space = new Set([9, 10, 13, 32, 0xef, 0xbb, 0xbf]); // and the byte-order mark

export class JsonListScanner {
  /** The closing bracket of the list was read. */
  ended = false;
  /** Something other than space came after it. */
  trailing = false;
  rows = 0;

  readonly #limit: number;
  #depth = 0;
  #inText = false;
  #escaped = false;
  #filled = false;
  #parts: Buffer[] = [];
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#size <= this.#limit) this.#parts.push(Buffer.from(part));
    else this.#parts = [];
  }

  #take(): Element {
    const element = { number: ++this.rows, bytes: Buffer.concat(this.#parts), size: this.#size };
    this.#parts = [];
    this.#size = 0;
    this.#filled = false;
    return element;
  }

  /** The elements that end within this piece. */
  *push(chunk: Buffer): Generator<Element, void, undefined> {
    let from = 0;
    for (let at = 0; at < chunk.length; ++at) {
      const byte = chunk[at]!;
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inText = false;
        continue;
      }
      if (space.has(byte)) continue;
      if (this.ended) {
        this.trailing = true;
        return;
      }
      if (this.#depth === 0) {
        from = at + 1; // the opening bracket; anything else fails when the row is parsed
        this.#depth = 1;
        continue;
      }
      if (opening.has(byte)) ++this.#depth;
      else if (closing.has(byte)) --this.#depth;
      else if (byte === quote) this.#inText = true;
      const last = this.#depth === 0;
      if (last || (byte === comma && this.#depth === 1)) {
        this.#keep(chunk.subarray(from, at));
        from = at + 1;
        this.ended = last;
        if (!last || this.#filled || this.rows > 0) yield this.#take();
      } else {
        this.#filled = true;
      }
    }
    if (!this.ended && this.#depth > 0) this.#keep(chunk.subarray(from));
  }
}
