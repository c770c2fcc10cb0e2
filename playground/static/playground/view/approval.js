/** A question to the person: may this tool run with exactly these params? */

import { button, el, fill } from "./elements.js";
import { problemText } from "./notices.js";
import { visible } from "./text.js";
import { paramsView } from "./tools.js";

let number = 0;

export class ApprovalView {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {{execution_id: string, tool: string, params: unknown, params_sha256: string, expires_at: string,
   *   taint?: Record<string, string>}} event
   */
  constructor(api, event) {
    this.api = api;
    this.event = event;
    this.isResolved = false;
    const id = `note-${(number += 1)}`;
    this.params = el("div", {}, ...paramsView(event.params));
    this.note = el("input", { id, maxlength: "1000", autocomplete: "off" });
    this.problem = el("p", { class: "failure", role: "alert", hidden: true });
    this.buttons = [
      button("Deny", () => this.decide("deny"), { class: "deny" }),
      button("Approve", () => this.decide("approve"), { class: "approve" }),
    ];
    const taint = Object.entries(event.taint ?? {}).map(([source, tool]) => `${source} (${tool})`);
    const expires = new Date(event.expires_at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    this.element = el(
      "section",
      { class: "approval", "aria-label": visible(`Approval of ${event.tool}`) },
      el("h4", {}, "May ", el("code", {}, visible(event.tool)), " run?"),
      this.params,
      taint.length && el("p", {}, visible(`The conversation holds texts from outside: ${taint.join(", ")}.`)),
      el("label", { for: id }, "Note (the model reads it if you deny)"),
      this.note,
      this.problem,
      el("div", { class: "verdicts" }, ...this.buttons, el("span", { class: "quiet" }, `Expires at ${expires}`)),
    );
    this.showWholeParams();
  }

  /** An event has long texts only as their hashes. The decision is about the texts, so the execution is asked. */
  async showWholeParams() {
    try {
      const execution = await this.api.get(`/tools/executions/${this.event.execution_id}`);
      fill(this.params, ...paramsView(execution.params, { isWhole: true }));
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {"approve" | "deny"} verdict */
  async decide(verdict) {
    this.enable(false);
    this.problem.hidden = true;
    try {
      // With the hash of what was shown: the service refuses a decision about other params.
      const decision = { params_sha256: this.event.params_sha256, note: this.note.value };
      await this.api.post(`/tools/executions/${this.event.execution_id}/${verdict}`, decision);
    } catch (error) {
      this.enable(true);
      this.fail(error);
    }
  }

  /** Close the question. The events of the run say how it was decided, here or elsewhere. */
  resolve(decision) {
    this.isResolved = true;
    const note = decision === "denied" && this.note.value ? `: ${visible(this.note.value)}` : "";
    fill(this.element, el("p", { class: "quiet" }, `The call was ${decision}${note}.`.replace("..", ".")));
    this.element.classList.add("resolved");
  }

  enable(isEnabled) {
    for (const each of this.buttons) each.disabled = !isEnabled;
  }

  fail(error) {
    this.problem.hidden = false;
    fill(this.problem, ...problemText(error));
  }
}
