/** The list of sessions. Each is a link to its fragment, so it opens like every other link. */

import { byId, el, refill } from "./elements.js";
import { showProblem } from "./notices.js";
import { oneLine } from "./text.js";

const MAX_SESSIONS = 50;
const MAX_TITLE = 60;

export class SessionList {
  /** @param {import("../service/api.js").Api} api */
  constructor(api) {
    this.api = api;
    this.list = byId("sessions");
  }

  /** @param {string | null} openId The session that this tab shows. */
  async refresh(openId) {
    try {
      const { items, count } = await this.api.get("/chat/sessions", { limit: MAX_SESSIONS });
      refill(this.list, ...items.map((session) => item(session, openId)));
      byId("sessions-note").textContent = count > items.length ? `The ${items.length} most recent ones.` : "";
      byId("no-sessions").hidden = items.length > 0;
    } catch (error) {
      showProblem(error);
    }
  }
}

function item(session, openId) {
  const used = new Date(session.updated);
  const isToday = used.toDateString() === new Date().toDateString();
  const time = isToday
    ? used.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : used.toLocaleDateString([], { day: "numeric", month: "short" });
  return el(
    "li",
    {},
    el(
      "a",
      { href: `#${session.id}`, "data-name": session.id, "aria-current": session.id === openId && "page" },
      el("span", { class: "title" }, oneLine(session.title, MAX_TITLE) || "Without a title"),
      el("span", { class: "quiet" }, session.active_run ? "Running" : time),
    ),
  );
}
