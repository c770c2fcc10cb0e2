/** The dialog that asks for a key. A service without keys on this machine never opens it. */

import { byId, fill } from "./elements.js";
import { refusalText } from "./notices.js";

/** Characters of a key. Browsers refuse others, such as typographic quotes or hidden ones, in a header. */
const KEY = /^[\x21-\x7e]*$/;

export class KeyDialog {
  /** @param {(key: string) => void} save */
  constructor(save) {
    this.save = save;
    this.dialog = byId("key-dialog");
    this.input = byId("key");
    /** @type {Promise<boolean> | null} */
    this.asking = null;
    byId("key-cancel").addEventListener("click", () => this.dialog.close());
    this.dialog.querySelector("form").addEventListener("submit", (event) => {
      if (KEY.test(this.input.value.trim())) return;
      event.preventDefault();
      fill(byId("key-problem"), "The key has a character that no key has. Copy it again.");
    });
  }

  /**
   * Ask for a key, and return true if one was given. Requests that are refused meanwhile share the answer.
   *
   * @param {import("../service/api.js").ApiError} [refusal]
   */
  ask(refusal) {
    fill(byId("key-problem"), ...(refusal ? refusalText(refusal) : []));
    this.asking ??= new Promise((resolve) => {
      this.input.value = "";
      this.dialog.showModal();
      this.dialog.addEventListener("close", () => {
        const isGiven = this.dialog.returnValue === "save";
        if (isGiven) this.save(this.input.value.trim());
        this.dialog.returnValue = "";
        this.input.value = "";
        this.asking = null;
        resolve(isGiven);
      }, { once: true });
    });
    return this.asking;
  }
}
