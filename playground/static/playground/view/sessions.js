/** The list of sessions. Each is a link to its fragment, so it opens like every other link. */

import { button, byId, el, refill } from "./elements.js";
import { showProblem } from "./notices.js";
import { oneLine } from "./text.js";

const MAX_SESSIONS = 50;
const MAX_TITLE = 60;

export class SessionList {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {import("./session-actions.js").SessionActions} actions
   */
  constructor(api, actions) {
    this.api = api;
    this.actions = actions;
    this.list = byId("sessions");
  }

  /** @param {string | null} openId The session that this tab shows. */
  async refresh(openId) {
    try {
      const { items, count } = await this.api.get("/chat/sessions", { limit: MAX_SESSIONS });
      refill(this.list, ...items.map((session) => item(session, openId, this.actions)));
      byId("sessions-note").textContent = count > items.length ? `The ${items.length} most recent ones.` : "";
      byId("no-sessions").hidden = items.length > 0;
    } catch (error) {
      showProblem(error);
    }
  }
}

function item(session, openId, actions) {
  const used = new Date(session.updated);
  const isToday = used.toDateString() === new Date().toDateString();
  const time = isToday
    ? used.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : used.toLocaleDateString([], { day: "numeric", month: "short" });
  const title = oneLine(session.title, MAX_TITLE) || "Without a title";
  const action = (label, onclick) =>
    button(label, onclick, { class: "quiet", "aria-label": `${label} ${title}`, "data-name": `${label} ${session.id}` });
  return el(
    "li",
    {},
    el(
      "a",
      { href: `#${session.id}`, "data-name": session.id, "aria-current": session.id === openId && "page" },
      el("span", { class: "title" }, title),
      el("span", { class: "quiet" }, session.active_run ? "Running" : time),
    ),
    // The others have theirs once they are open.
    session.id === openId && el(
      "div",
      { class: "entry-actions" },
      action("Rename", () => actions.rename(session)),
      action("Delete", () => actions.delete(session)),
    ),
  );
}
