/** Renaming and deleting the open session, each after a dialog. */

import { byId, fill } from "./elements.js";
import { announce, problemText } from "./notices.js";

/** A dialog with a form. It stays open, and says why, if the service refuses what it asks for. */
class FormDialog {
  /**
   * @param {string} name The beginning of the ids of its elements.
   * @param {() => HTMLElement | null} opener Returns the button that opened it. A list may have been built again meanwhile.
   * @param {() => Promise<void>} act Sends the request.
   * @param {() => void} onDone Called when the dialog is closed after a request that succeeded.
   */
  constructor(name, opener, act, onDone) {
    this.dialog = byId(`${name}-dialog`);
    this.problem = byId(`${name}-problem`);
    this.submit = byId(`${name}-submit`);
    this.dialog.addEventListener("close", () => {
      opener()?.focus();
      if (this.isDone) onDone();
    });
    byId(`${name}-cancel`).addEventListener("click", () => this.dialog.close());
    this.dialog.querySelector("form").addEventListener("submit", async (event) => {
      event.preventDefault();
      this.submit.disabled = true;
      try {
        await act();
        this.isDone = true;
        this.dialog.close();
      } catch (error) {
        fill(this.problem, ...problemText(error));
      }
      this.submit.disabled = false;
    });
  }

  open() {
    fill(this.problem);
    this.isDone = false;
    this.dialog.showModal();
  }
}

export class SessionActions {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {{onRenamed: () => void, onDeleted: (sessionId: string) => void}} events
   */
  constructor(api, { onRenamed, onDeleted }) {
    this.title = byId("rename-value");
    this.sessionId = "";
    this.renaming = new FormDialog(
      "rename",
      () => this.button("Rename"),
      () => api.request("PATCH", this.path, { json: { title: this.title.value.trim() } }),
      () => {
        announce("The session was renamed.");
        onRenamed();
      },
    );
    this.deleting = new FormDialog(
      "delete",
      () => this.button("Delete"),
      () => api.request("DELETE", this.path),
      () => {
        announce("The session was deleted.");
        onDeleted(this.sessionId);
      },
    );
  }

  get path() {
    return `/chat/sessions/${this.sessionId}`;
  }

  /** Return the button of the session in the list. */
  button(label) {
    return byId("sessions").querySelector(`[data-name="${label} ${this.sessionId}"]`);
  }

  /** Ask for a new title. */
  rename({ id, title }) {
    this.sessionId = id;
    this.title.value = title;
    this.renaming.open();
    this.title.select();
  }

  /** Ask whether the session may be deleted. */
  delete({ id }) {
    this.sessionId = id;
    this.deleting.open();
  }
}
