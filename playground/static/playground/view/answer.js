/**
 * The answer of one run, built from its events: texts, reasoning, tools, questions, changes of files, and the cost.
 *
 * Events come from a live stream, or again from the beginning after a reload. The view only depends on their order.
 */

import { ApprovalView } from "./approval.js";
import { ChangesView } from "./changes.js";
import { button, el } from "./elements.js";
import { MarkdownView } from "./markdown.js";
import { announce } from "./notices.js";
import { duration, usageText, visible } from "./text.js";
import { ToolView } from "./tools.js";

const ENDINGS = {
  cancelled: "You stopped this answer.",
  length: "The answer reached its maximum of tokens.",
  content_filter: "The model's service withheld the rest.",
  max_steps: "The run reached its maximum of steps (RUN_MAX_STEPS).",
  max_tool_calls: "The run reached its maximum of tool calls (RUN_MAX_TOOL_CALLS).",
  max_seconds: "The run reached its maximum of seconds (RUN_MAX_SECONDS).",
  max_output: "The run reached its maximum of output.",
  repeated_call: "The run ended, because the model made the same failing call three times.",
  budget_exceeded: "The budget does not suffice for the next model call.",
};

/**
 * @typedef {object} AnswerPorts What an answer needs from the page around it.
 * @property {import("../service/api.js").Api} api
 * @property {(runId: string) => void} resume
 * @property {() => void} onFilesChanged
 * @property {(text: string) => void} [onText] Called with each piece of a live answer's text.
 */

export class AnswerView {
  /**
   * @param {AnswerPorts} ports
   * @param {boolean} isLive False if the events are an old record: it has no times, and is not announced or spoken.
   */
  constructor(ports, isLive) {
    this.ports = ports;
    this.isLive = isLive;
    this.began = performance.now();
    this.parts = el("div", { class: "parts" });
    this.footer = el("footer", { class: "quiet" });
    this.element = el("article", { class: "answer", "aria-label": "Answer", "aria-busy": "true" }, this.parts, this.footer);
    /** @type {Map<string, ToolView>} */
    this.tools = new Map();
    /** @type {Map<string, ApprovalView>} */
    this.approvals = new Map();
    this.model = "";
  }

  /** Show the next event. Types that this page does not know are ignored, as the protocol asks. */
  apply(event) {
    this[event.type]?.(event);
  }

  /** The methods from here on have the names of the events that they show. */

  start({ run_id, model }) {
    this.runId = run_id;
    this.model = model;
  }

  token({ token }) {
    if (!this.text) this.add((this.text = new MarkdownView()));
    this.text.append(token);
    if (this.isLive) this.ports.onText?.(token);
  }

  reasoning({ text }) {
    if (!text) return;
    if (!this.thought) {
      this.thought = new MarkdownView();
      this.parts.append(
        el("details", { class: "reasoning" }, el("summary", {}, "Reasoning"), this.thought.element),
      );
    }
    this.thought.append(text);
  }

  tool_call({ execution_id, tool, params, waits_for }) {
    this.endText();
    const view = new ToolView(tool, params, this.isLive);
    if (waits_for === "approval") view.enter("waiting");
    if (waits_for === "client") view.enter("elsewhere");
    this.tools.set(execution_id, view);
    this.add(view);
  }

  approval_required(event) {
    const view = new ApprovalView(this.ports.api, event);
    this.approvals.set(event.execution_id, view);
    this.tools.get(event.execution_id)?.element.append(view.element);
    this.element.toggleAttribute("data-waits", true);
    announce(`The run waits for your approval of ${event.tool}.`);
  }

  approval_resolved({ execution_id, decision }) {
    this.approvals.get(execution_id)?.resolve(decision);
    this.element.toggleAttribute("data-waits", [...this.approvals.values()].some((view) => !view.isResolved));
    if (decision === "approved") this.tools.get(execution_id)?.restart();
  }

  tool_output({ execution_id, text, stream }) {
    this.tools.get(execution_id)?.addOutput(text, stream);
  }

  tool_result({ execution_id, data }) {
    this.tools.get(execution_id)?.succeed(data);
  }

  tool_error({ execution_id, error, code }) {
    this.tools.get(execution_id)?.fail(error, code);
  }

  retry({ provider, error, next_provider }) {
    this.endText();
    this.remark(`${provider} failed (${error}). ${next_provider ? `Next: ${next_provider}.` : "Trying again."}`);
  }

  budget({ scope, spent, limit, unit, span }) {
    this.remark(`The ${scope}'s budget: ${spent} of ${limit} ${unit} (${span}) are used.`);
  }

  compaction({ before, after }) {
    this.remark(`The conversation was shortened for the model: from about ${before} to ${after} tokens.`);
  }

  end({ reason, usage, warning }) {
    if (ENDINGS[reason]) this.remark(ENDINGS[reason]);
    if (warning) this.remark(warning);
    this.finish(usage);
    announce(this.spoken ? `Answer: ${this.spoken}` : "The run ended.");
  }

  error({ error, code }) {
    const resume = code === "interrupted" && button("Continue this run", () => this.ports.resume(this.runId));
    this.parts.append(el("p", { class: "failure" }, el("code", {}, code), " ", visible(error)), resume || "");
    this.finish(null);
    announce(`The run failed: ${error}`);
  }

  /** Complete the answer with its cost, which is null if it is not known. */
  finish(usage) {
    this.endText();
    this.element.removeAttribute("aria-busy");
    for (const view of this.tools.values()) {
      if (["running", "waiting"].includes(view.element.dataset.state)) view.enter("stopped");
    }
    for (const view of this.approvals.values()) view.enable(false);
    const time = this.isLive && duration(performance.now() - this.began);
    this.footer.textContent = [visible(this.model), usage && usageText(usage), time].filter(Boolean).join(" · ");
    if (this.tools.size && this.runId) {
      const changes = new ChangesView(this.ports.api, this.runId, this.ports.onFilesChanged);
      this.parts.append(changes.element);
      if (this.isLive) changes.load();
    }
  }

  /** The newest text of the answer. */
  get spoken() {
    return this.last?.text ?? "";
  }

  add(view) {
    this.parts.append(view.element);
  }

  remark(text) {
    this.parts.append(el("p", { class: "remark" }, visible(text)));
  }

  /** The next token begins another text, below what comes now. */
  endText() {
    this.text?.show();
    this.thought?.show();
    this.last = this.text ?? this.last;
    this.text = this.thought = undefined;
  }
}
