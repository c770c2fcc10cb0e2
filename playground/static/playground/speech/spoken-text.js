/**
 * The text of an answer as one says it: without the marks of Markdown, addresses and code. It arrives in pieces, and
 * leaves at the ends of sentences, so that marks around a few words are seen as a whole.
 */

/** A longer text without an end of a sentence leaves at a word, so that the voice does not wait for it. */
const MAX_HELD = 400;

export class SpokenText {
  constructor() {
    this.held = "";
    this.isCode = false;
  }

  /** Add a piece, and return what can be said now. */
  add(piece) {
    this.held += piece;
    const [whole] = /^.*(?:\n|[.!?] )/s.exec(this.held) ?? [""];
    const cut = whole.length || (this.held.length > MAX_HELD ? this.held.lastIndexOf(" ") : 0);
    const ready = this.held.slice(0, cut);
    this.held = this.held.slice(cut);
    return this.plain(ready);
  }

  /** Return the rest. */
  end() {
    const rest = this.held;
    this.held = "";
    return this.plain(rest);
  }

  plain(text) {
    return text
      .split(/(?<=\n)/)
      .map((line) => {
        if (/^\s*(?:```|~~~)/.test(line)) {
          this.isCode = !this.isCode;
          return this.isCode ? "Code.\n" : "";
        }
        return this.isCode ? "" : words(line);
      })
      .join("");
  }
}

function words(line) {
  return line
    .replace(/^\s*(?:#{1,6}|>|[-*+]|\|[-:| ]+\|)\s+/, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/https?:\/\/\S+/g, "")
    .replace(/(?<=\w)_(?=\w)/g, " ")
    .replace(/[*_`~|]+/g, "");
}
