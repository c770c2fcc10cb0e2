/** The files that a run changed, as a diff, with undo and redo. */

import { diffView } from "./diff.js";
import { button, el, fill } from "./elements.js";
import { showProblem } from "./notices.js";
import { visible } from "./text.js";

export class ChangesView {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {string} runId
   * @param {() => void} onChange Called when files were restored.
   */
  constructor(api, runId, onChange) {
    this.api = api;
    this.path = `/chat/runs/${runId}`;
    this.onChange = onChange;
    this.title = el("summary", {}, "Changed files");
    this.body = el("div");
    this.element = el("details", { class: "changes", ontoggle: () => this.load() }, this.title, this.body);
  }

  /** Ask which files changed; without any, the element hides itself. */
  async load() {
    if (this.loaded) return;
    this.loaded = true;
    try {
      const changes = await this.api.get(`${this.path}/changes`);
      const changed = changes.files.filter((file) => file.action !== "none");
      this.title.textContent = `${changed.length || "No"} changed ${changed.length === 1 ? "file" : "files"}`;
      this.element.hidden = !changed.length && !changes.note;
      this.show(changes, changed);
    } catch (error) {
      // The key may lack the scope `files.read`; the answer itself is not affected.
      this.element.hidden = error.status === 403;
      this.loaded = false;
      if (error.status !== 403) showProblem(error);
    }
  }

  show(changes, changed) {
    const files = changed.map((file) => el("li", {}, el("code", {}, visible(file.path)), ` ${file.action}`));
    const undo = button("Undo these changes", () => this.restore(undo, "undo"));
    fill(
      this.body,
      el("ul", { class: "files" }, ...files),
      changes.diff && diffView(changes.diff),
      changes.truncated && el("p", { class: "quiet" }, "The diff does not have all files."),
      changes.note && el("p", { class: "quiet" }, visible(changes.note)),
      changed.some((file) => file.restorable) && undo,
    );
  }

  /** @param {"undo" | "redo"} direction */
  async restore(undo, direction) {
    undo.disabled = true;
    try {
      await this.api.post(`${this.path}/undo`, { direction });
      const next = direction === "undo" ? "redo" : "undo";
      const again = button(
        next === "redo" ? "Make these changes again" : "Undo these changes",
        () => this.restore(again, next),
      );
      undo.replaceWith(again);
      again.focus();
      this.onChange();
    } catch (error) {
      undo.disabled = false;
      showProblem(error);
    }
  }
}
