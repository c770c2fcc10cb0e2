import assert from "node:assert/strict";
import test from "node:test";

/** An element as far as the modules need one: its tag, its attributes and its children. */
class FakeElement {
  constructor(tag) {
    Object.assign(this, { tag, attributes: {}, children: [] });
  }
  setAttribute(name, value) {
    this.attributes[name] = String(value);
  }
  addEventListener() {}
  append(...nodes) {
    this.children.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.children = nodes;
  }
  replaceWith(other) {
    Object.assign(this, other);
  }
  get lastElementChild() {
    return { remove: () => this.children.pop() };
  }
  get html() {
    const shown = Object.entries(this.attributes).map(([name, value]) => ` ${name}="${value}"`);
    const inner = this.children.map((child) => (child instanceof FakeElement ? child.html : `{${child}}`)).join("");
    return `<${this.tag}${shown.join("")}>${inner.replaceAll("{}", "").replaceAll("}{", "")}</${this.tag}>`;
  }
}

globalThis.document = { createElement: (tag) => new FakeElement(tag), createTextNode: (text) => text };
globalThis.navigator ??= {};
globalThis.requestAnimationFrame = () => 1;
globalThis.cancelAnimationFrame = () => {};
const { MarkdownView } = await import("../playground/view/markdown.js");

function rendered(...pieces) {
  const view = new MarkdownView();
  for (const piece of pieces) {
    view.append(piece);
    view.show();
  }
  return view.element.children.map((block) => block.html).join("\n");
}

test("markup stays text, and only addresses of the web become links", () => {
  const hostile = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) [b](data:text/html,x) [c](//x) \u202e";
  const shown = rendered(hostile);
  assert.ok(!shown.includes("<img src") || shown.includes("{<img src"));
  assert.equal((shown.match(/<a /g) ?? []).length, 0);
  assert.ok(shown.includes("\\u202e"));
  const link = rendered("[x](https://a.example/(b)) and http://c.example.");
  assert.ok(link.includes('<a href="https://a.example/(b)" rel="noopener noreferrer" target="_blank">{x}</a>'));
  assert.ok(link.includes('href="http://c.example"'));
});

test("a text that arrives in pieces looks as if it came at once", () => {
  const text = "# T\n\n- a\n  - **b**\n- `c`\n\n1. x\n\n> q\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx = '#'\n\n```\n\nend *it* 2 * 3 snake_case";
  const whole = rendered(text);
  assert.equal(rendered(...text), whole);
  for (const part of ["<h3>{T}</h3>", "<strong>{b}</strong>", "<code>{c}</code>", "<blockquote>", "<td>{2}</td>", "<em>{it}</em>"]) {
    assert.ok(whole.includes(part), part);
  }
  assert.ok(whole.includes("2 * 3 snake_case"));
});

test("a text is shown to its end, however many marks it has", () => {
  for (const mark of ["*", "_", "~~", "`", "[", "**a", "[a](", "> "]) {
    assert.ok(rendered(`x ${mark.repeat(5_000)} the end`).includes("the end"), mark);
  }
});
