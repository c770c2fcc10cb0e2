import assert from "node:assert/strict";
import test from "node:test";

import { filePath } from "../playground/service/api.js";
import { SpokenText } from "../playground/speech/spoken-text.js";
import { isDiff } from "../playground/view/diff.js";
import { asText, duration, oneLine, size, usageText, visible } from "../playground/view/text.js";

test("hidden characters become escapes, and joiners and line breaks stay", () => {
  assert.equal(visible("a\x1b[31m\u202eb\u200b\u{e0100}"), "a\\x1b[31m\\u202eb\\u200b\\ue0100");
  assert.equal(visible("\u0645\u06cc\u200c\u062e \u{1f468}\u200d\u{1f469} \ufe0f\r\n\t"), "\u0645\u06cc\u200c\u062e \u{1f468}\u200d\u{1f469} \ufe0f\n\t");
  assert.equal(visible("\ud800"), "\\ud800");
});

test("a long text becomes one short line", () => {
  assert.equal(oneLine(" a\n\n b\t c ", 20), "a b c");
  assert.equal(oneLine("abcdef", 4), "abc…");
});

test("values, sizes, times and costs are texts to read", () => {
  assert.equal(asText({ a: 1 }), '{\n  "a": 1\n}');
  assert.deepEqual([0, 999, 1_000, 1_400_000, 5e12].map(size), ["0 B", "999 B", "1.0 kB", "1.4 MB", "5000.0 GB"]);
  assert.deepEqual([3.4, 999, 2_100].map(duration), ["3 ms", "999 ms", "2.1 s"]);
  const usage = { input_tokens: 1_204, output_tokens: null, cost_usd: 0.00001, estimated: true };
  assert.equal(usageText(usage), "about 1,204 tokens in · ? out · under $0.0001");
  assert.equal(usageText({ ...usage, cost_usd: null, estimated: false }), "1,204 tokens in · ? out · cost unknown");
});

test("each part of a path is escaped", () => {
  assert.equal(filePath('a/b c#?%/"\n'), "/workspace/files/a/b%20c%23%3F%25/%22%0A");
});

test("diffs and patches are told from other texts", () => {
  for (const text of ["diff --git a b", "--- a\n+++ b\n", "x\n@@ -1 +1 @@", "*** Begin Patch"]) assert.ok(isDiff(text), text);
  for (const text of ["--- a rule", "- one\n+ two", ""]) assert.ok(!isDiff(text), text);
});

test("an answer is spoken without marks, addresses and code, however it is cut", () => {
  const text = "# Title\n**Bold** [link](https://a.example) snake_case. See https://b.example/x now!\n```js\nlet x;\n```\nEnd";
  const said = "Title\nBold link snake case. See  now!\nCode.\nEnd";
  for (const length of [1, 2, 7, 1_000]) {
    const spoken = new SpokenText();
    let heard = "";
    for (let place = 0; place < text.length; place += length) heard += spoken.add(text.slice(place, place + length));
    assert.equal(heard + spoken.end(), said, `pieces of ${length}`);
  }
});
