/**
 * Texts of models, tools and files, and numbers, as a person may safely read them.
 */

/**
 * Characters that move a cursor, change the direction of reading or are invisible: controls (such as those of ANSI
 * codes), formats, private use, and letters without a shape. Joiners, which Persian and emoji need, are left out.
 * Unicode Technical Standard 55 describes how they are misused.
 */
const HIDDEN =
  /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0e\u{e0100}-\u{e01ef}]/gu;

/** Return the text with hidden characters escaped, such as `\x1b` or `\u202e`. */
export function visible(text) {
  return String(text).replaceAll("\r\n", "\n").replace(HIDDEN, (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
  });
}

/** Return the beginning of a text as one line. */
export function oneLine(text, maxCharacters) {
  const line = visible(String(text).slice(0, 4 * maxCharacters)).split(/\s+/).join(" ").trim();
  return line.length <= maxCharacters ? line : `${line.slice(0, maxCharacters - 1).trimEnd()}…`;
}

/** Return a value of JSON as a text to read: a text as it is, everything else as indented JSON. */
export function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Return a size such as `1.4 MB`. */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  const power = Math.min(Math.floor(Math.log10(bytes) / 3), units.length);
  return `${(bytes / 1_000 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** Return a duration such as `340 ms` or `2.1 s`. */
export function duration(milliseconds) {
  return milliseconds < 1_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1_000).toFixed(1)} s`;
}

/**
 * Return the tokens and the cost of an answer, such as `1,204 tokens in · 88 out · $0.0021`.
 *
 * @param {{input_tokens: number | null, output_tokens: number | null, cost_usd: number | null, estimated: boolean}} usage
 */
export function usageText(usage) {
  const count = (tokens) => (tokens === null ? "?" : tokens.toLocaleString("en"));
  const about = usage.estimated ? "about " : "";
  return [
    `${about}${count(usage.input_tokens)} tokens in`,
    `${count(usage.output_tokens)} out`,
    usage.cost_usd === null ? "cost unknown" : money(usage.cost_usd),
  ].join(" · ");
}

function money(usd) {
  if (usd === 0) return "free";
  return usd < 0.0001 ? "under $0.0001" : `$${usd.toFixed(usd < 1 ? 4 : 2)}`;
}
