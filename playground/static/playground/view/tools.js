/** A use of a tool: its params, its live output, its result or its error, and how long it took. */

import { diffView, isDiff } from "./diff.js";
import { el, fill } from "./elements.js";
import { asText, duration, oneLine, visible } from "./text.js";

const MAX_SUMMARY = 90;

/** Characters of live output and of a result that the page keeps. `GET /tools/executions/{id}/output` has all of it. */
const MAX_SHOWN = 64_000;

const STATES = {
  running: "Running",
  waiting: "Waits for you",
  elsewhere: "Waits for its client",
  succeeded: "Done",
  failed: "Failed",
  stopped: "Stopped",
};

export class ToolView {
  /**
   * @param {string} tool
   * @param {unknown} params
   * @param {boolean} isTimed False if the events are an old record, which has no times.
   */
  constructor(tool, params, isTimed) {
    this.isTimed = isTimed;
    this.began = performance.now();
    /** Characters of live output on the page. */
    this.shown = 0;
    this.state = el("span", { class: "state" });
    this.time = el("span", { class: "time" });
    this.brief = el("span", { class: "brief" });
    this.params = el("div");
    this.output = el("div");
    this.result = el("div");
    this.failure = el("p", { class: "failure", hidden: true });
    this.details = el(
      "details",
      {},
      el("summary", {}, el("span", { class: "name" }, visible(tool)), this.brief, this.state, this.time),
      this.params,
      this.output,
      this.result,
    );
    this.element = el("section", { class: "tool", "aria-label": visible(`Tool ${tool}`) }, this.details, this.failure);
    this.showParams(params);
    this.enter("running");
  }

  /** @param {keyof typeof STATES} state */
  enter(state) {
    this.element.dataset.state = state;
    this.state.textContent = STATES[state];
  }

  /** Begin to measure the time again: the tool starts only now. */
  restart() {
    this.began = performance.now();
    this.enter("running");
  }

  showParams(params) {
    this.brief.textContent = oneLine(brief(params), MAX_SUMMARY);
    fill(this.params, ...paramsView(params));
  }

  /** @param {string} text @param {"stdout" | "stderr"} stream */
  addOutput(text, stream) {
    if (!this.live) {
      this.live = el("pre", { class: "live", tabindex: "0", "aria-label": "Output" });
      fill(this.output, el("h4", {}, "Output"), this.live);
      this.details.open = true;
    }
    if (this.shown < MAX_SHOWN) {
      this.live.append(el("span", { class: stream === "stderr" && "stderr" }, visible(text)));
      this.live.scrollTop = this.live.scrollHeight;
      this.shown += text.length;
      if (this.shown >= MAX_SHOWN) this.output.append(el("p", { class: "quiet" }, "The beginning of the output. The API has all of it."));
    }
  }

  /** @param {unknown} data */
  succeed(data) {
    this.enter("succeeded");
    fill(this.result, el("h4", {}, "Result"), ...resultView(data, Boolean(this.live)));
    this.showTime();
  }

  /** @param {string} error @param {string} [code] */
  fail(error, code) {
    this.enter("failed");
    this.failure.hidden = false;
    fill(this.failure, code && el("code", {}, code), code && " ", visible(error));
    this.showTime();
  }

  showTime() {
    if (this.isTimed) this.time.textContent = duration(performance.now() - this.began);
  }
}

/** Return each param with its name. Patches are coloured, and a decision is about texts that are shown whole. */
export function paramsView(params, { isWhole = false } = {}) {
  const entries = Object.entries(params ?? {});
  if (!entries.length) return [];
  return [el("dl", { class: "params" }, ...entries.flatMap(([name, value]) => [
    el("dt", {}, visible(name)),
    el("dd", {}, textView(asText(value), isWhole)),
  ]))];
}

/** Return the param that says most: the first text or number, or the first file of a patch. */
function brief(params) {
  const first = Object.values(params ?? {}).find((value) => ["string", "number"].includes(typeof value)) ?? "";
  const file = /^(?:\*\*\* \w+ File: |\+\+\+ (?:b\/)?(?!\/dev\/null)|--- a\/)(.+)$/m.exec(first);
  return file ? file[1] : first;
}

/**
 * Return a result. The texts that a person looks for come first: a diff, a file, the output of a command.
 *
 * @param {any} data
 * @param {boolean} wasLive True if the output of the tool is on the page already.
 */
function resultView(data, wasLive) {
  const name = ["text", "content", "stdout"].find((each) => typeof data?.[each] === "string");
  if (!name) return [textView(asText(data))];
  const { [name]: text, ...rest } = data;
  const isShown = wasLive && name === "stdout";
  return [!isShown && text && textView(text), el("code", { class: "rest" }, visible(JSON.stringify(rest)))];
}

function textView(text, isWhole = false) {
  if (isDiff(text)) return diffView(text, isWhole ? Infinity : undefined);
  const cut = text.length > MAX_SHOWN && !isWhole ? `${text.slice(0, MAX_SHOWN)}\n…` : text;
  return cut.length > 80 || cut.includes("\n") ? el("pre", { tabindex: "0" }, visible(cut)) : el("code", {}, visible(cut));
}
