/**
 * Patches and diffs, with colours. Added and removed lines also keep their `+` and `-`, for readers without colours.
 */

import { el } from "./elements.js";
import { visible } from "./text.js";

/** Longer diffs are cut on the page; the API has all of it. */
const MAX_LINES = 2_000;

/** Return whether a text looks like a unified diff, or a patch between `*** Begin Patch` and `*** End Patch`. */
export function isDiff(text) {
  return /^(?:diff --git |--- .*\n\+\+\+ |\*\*\* Begin Patch|@@ )/m.test(text);
}

/** Return an element with the lines of a diff. */
export function diffView(text, maxLines = MAX_LINES) {
  const lines = visible(text.replace(/\n$/, "")).split("\n");
  const shown = lines.slice(0, maxLines).map((line) => el("span", { class: kind(line) }, `${line}\n`));
  const rest = lines.length - shown.length;
  return el(
    "pre",
    { class: "diff", tabindex: "0" },
    el("code", {}, ...shown, rest > 0 && el("span", { class: "place" }, `… ${rest} more lines`)),
  );
}

function kind(line) {
  if (/^(?:\+\+\+ |--- |diff --git |\*\*\* )/.test(line)) return "file";
  if (line.startsWith("@@")) return "place";
  if (line.startsWith("+")) return "added";
  if (line.startsWith("-")) return "removed";
  return "same";
}
