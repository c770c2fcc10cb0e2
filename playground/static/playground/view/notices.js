/** Refusals of the service and other problems, and the announcements for screen readers. */

import { ApiError } from "../service/api.js";
import { button, byId, el } from "./elements.js";
import { visible } from "./text.js";

/** Characters of an answer that are announced. A longer one is read in the page itself. */
const MAX_ANNOUNCED = 1_000;

/** Return a refusal as parts of a paragraph: its code, its sentence, and the fields that it names. */
export function refusalText(refusal) {
  const fields = refusal.detail.filter((each) => each.field).map((each) => `${each.field}: ${each.error}`);
  return [el("code", {}, refusal.code), " ", visible([refusal.message, ...fields].join(" "))];
}

/** Return what went wrong as parts of a paragraph. */
export function problemText(error) {
  if (error instanceof ApiError) return refusalText(error);
  return [visible(error instanceof TypeError ? "The service is unreachable." : error.message)];
}

/**
 * Show a problem until it is dismissed, or until the next message is sent.
 *
 * @param {unknown} error
 * @param {...Node} actions Buttons beside it.
 */
export function showProblem(error, ...actions) {
  if (error instanceof DOMException && error.name === "AbortError") return;
  const known = error instanceof ApiError;
  if (!known && !(error instanceof TypeError) && !(error instanceof Problem)) console.error(error);
  const notice = el("div", { class: "notice", role: "alert" }, el("p", {}, ...problemText(error)), ...actions);
  notice.append(button("Dismiss", () => notice.remove(), { class: "quiet" }));
  if (known && error.retryAfter) countDown(notice, error.retryAfter);
  byId("notices").append(notice);
}

/** A problem on this side, with a sentence for the person. */
export class Problem extends Error {}

export function clearProblems() {
  byId("notices").replaceChildren();
}

/** Show the seconds that are left until a retry makes sense. */
function countDown(notice, seconds) {
  // Not announced: a screen reader would read every second.
  const left = el("p", { class: "retry", "aria-live": "off" });
  notice.firstElementChild.after(left);
  const until = Date.now() + seconds * 1_000;
  const show = () => {
    const rest = Math.ceil((until - Date.now()) / 1_000);
    left.textContent = rest > 0 ? `You can retry in ${rest} s.` : "You can retry now.";
    if (rest > 0 && notice.isConnected) setTimeout(show, 500);
  };
  queueMicrotask(show);
}

/** Let a screen reader say a sentence. Whole answers are announced, never single tokens. */
export function announce(text) {
  byId("announcements").textContent = visible(text).slice(0, MAX_ANNOUNCED);
}

/** @param {"open" | "lost"} state */
export function showConnection(state) {
  byId("connection").hidden = state === "open";
}
