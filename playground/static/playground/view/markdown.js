/**
 * Markdown as models write it: headings, lists, code, quotes, tables, emphasis and links. It builds page elements from
 * text, so markup in the text stays text.
 *
 * A stream arrives piece by piece. Only the last block of a text can still change, so `MarkdownView` builds that one
 * again and keeps the others.
 */

import { button, el } from "./elements.js";
import { visible } from "./text.js";

/** Blocks in blocks, and emphasis in emphasis. Deeper text stays as written. */
const MAX_DEPTH = 8;

/** A longer block stays as written, so that no text can keep the page busy. */
const MAX_BLOCK_CHARACTERS = 40_000;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`\s]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

/** An element that shows a text as Markdown while it grows. */
export class MarkdownView {
  constructor() {
    this.element = el("div", { class: "markdown" });
    this.text = "";
    /** @type {string[]} The source of each child of the element. */
    this.shown = [];
    this.frame = 0;
  }

  /** Add a piece of text. It is shown with the next frame of the screen. */
  append(text) {
    this.text += text;
    this.frame ||= requestAnimationFrame(() => this.show());
  }

  /** Show all of the text now. */
  show() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const blocks = splitBlocks(this.text);
    blocks.forEach((source, place) => {
      if (this.shown[place] === source) return;
      const block = el("div", { class: "block" }, ...renderBlock(source));
      if (place < this.shown.length) this.element.children[place].replaceWith(block);
      else this.element.append(block);
    });
    while (this.element.children.length > blocks.length) this.element.lastElementChild.remove();
    this.shown = blocks;
  }
}

/** Return the sources of a text's blocks: parts between empty lines, except inside of fenced code. */
function splitBlocks(text) {
  const blocks = [];
  let lines = [];
  let fence = "";
  for (const line of text.split("\n")) {
    const mark = FENCE.exec(line)?.[1];
    if (fence) {
      if (mark?.startsWith(fence) && line.trim() === mark) fence = "";
    } else if (mark) {
      fence = mark;
    } else if (!line.trim()) {
      if (lines.length) blocks.push(lines.join("\n"));
      lines = [];
      continue;
    } else if (!lines.length && blocks.length && /^ {2,}/.test(line) && ITEM.test(blocks.at(-1).split("\n", 1)[0])) {
      // An indented paragraph belongs to the list above it.
      lines = [blocks.pop(), ""];
    }
    lines.push(line);
  }
  if (lines.length) blocks.push(lines.join("\n"));
  return blocks;
}

/** @returns {Node[]} */
function renderBlock(source, depth = 0) {
  if (source.length > MAX_BLOCK_CHARACTERS && !FENCE.test(source)) return [el("p", {}, visible(source))];
  const lines = source.split("\n");
  const nodes = [];
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length) nodes.push(el("p", {}, ...inline(paragraph.join("\n"))));
    paragraph = [];
  };
  for (let place = 0; place < lines.length; ) {
    const line = lines[place];
    const [node, next] = specialBlock(lines, place, depth);
    if (node) {
      endParagraph();
      nodes.push(node);
      place = next;
    } else {
      if (line.trim()) paragraph.push(line.trimStart());
      else endParagraph();
      place += 1;
    }
  }
  endParagraph();
  return nodes;
}

/**
 * Return the block other than a paragraph that begins at a line, and the line behind it; null for a paragraph.
 *
 * @returns {[Node | null, number]}
 */
function specialBlock(lines, place, depth) {
  const line = lines[place];
  const fence = FENCE.exec(line);
  if (fence) {
    let end = place + 1;
    while (end < lines.length && !(lines[end].trim().startsWith(fence[1]) && !/[^`~\s]/.test(lines[end]))) end += 1;
    return [codeBlock(lines.slice(place + 1, end).join("\n"), fence[2]), end + 1];
  }
  const heading = HEADING.exec(line);
  // The page has its own first and second level.
  if (heading) return [el(`h${Math.min(heading[1].length + 2, 6)}`, {}, ...inline(heading[2])), place + 1];
  if (RULE.test(line)) return [el("hr"), place + 1];
  if (depth >= MAX_DEPTH) return [null, place];
  if (QUOTE.test(line)) {
    let end = place;
    while (end < lines.length && QUOTE.test(lines[end])) end += 1;
    const inner = lines.slice(place, end).map((each) => each.replace(QUOTE, ""));
    return [el("blockquote", {}, ...renderBlock(inner.join("\n"), depth + 1)), end];
  }
  if (ITEM.test(line)) return list(lines, place, depth);
  if (line.includes("|") && TABLE_RULE.test(lines[place + 1] ?? "")) return table(lines, place);
  return [null, place];
}

function codeBlock(code, language) {
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(code);
    copy.textContent = "Copied";
  }, { class: "quiet" });
  return el(
    "figure",
    { class: "code" },
    el("figcaption", {}, el("span", {}, visible(language) || "text"), navigator.clipboard && copy),
    el("pre", { tabindex: "0" }, el("code", {}, visible(code))),
  );
}

function list(lines, place, depth) {
  const [, { length: indent }, mark] = ITEM.exec(lines[place]);
  const ordered = /\d/.test(mark);
  const items = [];
  let end = place;
  for (; end < lines.length; end += 1) {
    const item = ITEM.exec(lines[end]);
    if (item && item[1].length <= indent && /\d/.test(item[2]) === ordered && item[1].length >= indent - 1) {
      items.push([item[3]]);
    } else if (!lines[end].trim() || /^ /.test(lines[end])) {
      items.at(-1).push(lines[end].slice(Math.min(indent + 2, lines[end].search(/\S|$/))));
    } else break;
  }
  const children = items.map((item) => {
    const [first, ...rest] = item;
    return el("li", {}, ...inline(first), ...(rest.length ? renderBlock(rest.join("\n"), depth + 1) : []));
  });
  return [el(ordered ? "ol" : "ul", ordered ? { start: Number.parseInt(mark, 10) } : {}, ...children), end];
}

function table(lines, place) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  let end = place + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const row = (line, tag) => el("tr", {}, ...cells(line).map((cell) => el(tag, {}, ...inline(cell))));
  const rows = lines.slice(place + 2, end).map((line) => row(line, "td"));
  const body = el("table", {}, el("thead", {}, row(lines[place], "th")), el("tbody", {}, ...rows));
  return [el("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Table" }, body), end];
}

const MARKS = { "**": "strong", __: "strong", "~~": "s", "*": "em", _: "em" };
const LINK = /\[([^[\]]*)\]\(((?:[^()\s]|\([^()\s]*\))+)\)/y;
const ADDRESS = /https?:\/\/[^\s<>"'`)\]]*[^\s<>"'`)\].,;:!?]/y;

/** @returns {(Node | string)[]} The parts of a paragraph: texts, emphasis, code and links. */
function inline(text, depth = 0) {
  if (depth > MAX_DEPTH) return [visible(text)];
  const nodes = [];
  let plain = "";
  /** Marks without an end behind this place. Each is looked for once, so that the time is linear. */
  const open = new Set();
  const add = (node) => {
    nodes.push(visible(plain), node);
    plain = "";
  };
  for (let place = 0; place < text.length; ) {
    const next = text[place];
    if (next === "\\" && /[!-/:-@[-`{-~]/.test(text[place + 1] ?? "")) {
      plain += text[place + 1];
      place += 2;
      continue;
    }
    if (next === "\n") {
      add(el("br"));
      place += 1;
      continue;
    }
    const found = codeSpan(text, place, open) ?? link(text, place) ?? emphasis(text, place, open, depth);
    if (found) {
      add(found.node);
      place = found.end;
    } else {
      plain += next;
      place += 1;
    }
  }
  return [...nodes, visible(plain)];
}

function codeSpan(text, place, open) {
  if (text[place] !== "`") return null;
  const [ticks] = /^`+/.exec(text.slice(place, place + 16));
  const end = open.has(ticks) ? -1 : text.indexOf(ticks, place + ticks.length);
  if (end < 0) {
    open.add(ticks);
    return null;
  }
  return { node: el("code", {}, visible(text.slice(place + ticks.length, end).trim())), end: end + ticks.length };
}

function link(text, place) {
  if (text[place] === "[") {
    LINK.lastIndex = place;
    const found = LINK.exec(text);
    if (found) return { node: anchor(found[2], found[1]), end: LINK.lastIndex };
  }
  if (text[place] === "h") {
    ADDRESS.lastIndex = place;
    const found = ADDRESS.exec(text);
    if (found) return { node: anchor(found[0], found[0]), end: ADDRESS.lastIndex };
  }
  return null;
}

function emphasis(text, place, open, depth) {
  if (!"*_~".includes(text[place])) return null;
  const mark = Object.keys(MARKS).find((each) => text.startsWith(each, place));
  if (!mark || open.has(mark)) return null;
  const start = place + mark.length;
  // `2 * 3` and `snake_case` are no emphasis.
  if (!/\S/.test(text[start] ?? "") || (mark[0] === "_" && /\w/.test(text[place - 1] ?? ""))) return null;
  const end = text.indexOf(mark, start + 1);
  if (end < 0) {
    open.add(mark);
    return null;
  }
  if (/\s/.test(text[end - 1])) return null;
  return { node: el(MARKS[mark], {}, ...inline(text.slice(start, end), depth + 1)), end: end + mark.length };
}

/** Return a link, or its text if the address is not one of the web. */
function anchor(address, label) {
  if (!/^https?:\/\//i.test(address)) return document.createTextNode(visible(`${label} (${address})`));
  return el("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, visible(label || address));
}
