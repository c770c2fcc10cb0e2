/**
 * The conversation of this tab: one session, and at most one run at a time.
 *
 * The session's id is in the fragment of the URL, so a reload, a bookmark and another tab open the same one. A fragment
 * is not sent to any server.
 */

import { ApiError } from "./service/api.js";
import { followRun, resumeRun, startRun } from "./service/events.js";
import { button } from "./view/elements.js";
import { Problem, clearProblems, showConnection, showProblem } from "./view/notices.js";

/** Messages of a session that are shown when it is opened: the newest ones. */
const MAX_SHOWN = 200;

/** Tabs of this browser that show the same session learn here that one of them started a run. */
const CHANNEL = "orchestrator-runs";

/**
 * @typedef {object} ConversationEvents
 * @property {(isActive: boolean) => void} onActive A run began or ended.
 * @property {(sessionId: string | null) => void} onSession Another session is open, or this one has a new title.
 * @property {() => void} onEnd A run ended.
 */

export class Conversation {
  /**
   * @param {import("./service/api.js").Api} api
   * @param {import("./view/thread.js").Thread} thread
   * @param {ConversationEvents} events
   */
  constructor(api, thread, events) {
    this.api = api;
    this.thread = thread;
    this.events = events;
    /** @type {string | null} */
    this.sessionId = null;
    /** @type {string | null} */
    this.runId = null;
    /** @type {AbortController | null} The reading of the active run's events. */
    this.reading = null;
    /** @type {string | null} When the session that is shown was last used, as far as this tab knows. */
    this.updated = null;
    /** @type {Set<string>} The runs whose messages or events this tab shows. */
    this.shownRuns = new Set();
    /** The loading of the session that is being opened. */
    this.opening = Promise.resolve();
    this.channel = new BroadcastChannel(CHANNEL);
    this.channel.onmessage = ({ data }) => {
      // The service may be unreachable. The next look, when the tab gets the focus, finds the same.
      if (data.sessionId === this.sessionId && data.runId !== this.runId) this.catchUp().catch(() => {});
    };
  }

  get isActive() {
    return this.reading !== null;
  }

  /** Open the session with this id, or an empty conversation. */
  open(sessionId) {
    this.opening = this.load(sessionId);
    return this.opening;
  }

  async load(sessionId) {
    this.leave();
    this.updated = null;
    this.shownRuns.clear();
    this.sessionId = sessionId;
    this.thread.clear();
    clearProblems();
    if (sessionId) {
      try {
        await this.showSession(sessionId);
      } catch (error) {
        if (this.sessionId === sessionId) showProblem(error);
      }
    }
    if (this.sessionId === sessionId) this.events.onSession(sessionId);
  }

  async showSession(sessionId) {
    const session = await this.api.get(`/chat/sessions/${sessionId}`);
    const page = await this.newestMessages(sessionId);
    // Another session may have been opened meanwhile.
    if (this.sessionId !== sessionId) return;
    this.updated = session.updated;
    for (const message of page.items) this.shownRuns.add(message.run_id);
    this.thread.clear();
    if (page.count > MAX_SHOWN) this.thread.addNote(`The newest ${MAX_SHOWN} messages. The API has the earlier ones.`);
    this.thread.showStored(page.items, session.active_run);
    if (session.active_run) this.follow(session.active_run);
  }

  async newestMessages(sessionId) {
    const path = `/chat/sessions/${sessionId}/messages`;
    const page = await this.api.get(path, { limit: MAX_SHOWN });
    return page.count > MAX_SHOWN ? this.api.get(path, { limit: MAX_SHOWN, offset: page.count - MAX_SHOWN }) : page;
  }

  /** Show what another tab or client did in this session: a run that is active, or one that has ended already. */
  async catchUp() {
    const sessionId = this.sessionId;
    if (!sessionId || this.isActive) return;
    const { active_run: activeRun, updated } = await this.api.get(`/chat/sessions/${sessionId}`);
    const { items } = activeRun || this.updated === updated ? { items: [] } : await this.newestMessages(sessionId);
    if (this.isActive || this.sessionId !== sessionId) return;
    if (activeRun || items.some((message) => !this.shownRuns.has(message.run_id))) await this.open(sessionId);
    else this.updated = updated;
  }

  /**
   * Send a message, and show the answer while it arrives. Return false if the service refused it.
   *
   * @param {{message: string, pictures: string[], provider: string | null, model: string | null, reasoning: string}} sent
   * `pictures` are `data:` addresses.
   */
  async send({ message, pictures, ...options }) {
    // The messages of a session that is being opened would take the place of this one.
    await this.opening;
    if (this.isActive) {
      showProblem(new Problem("Wait for the answer that is being written, or stop it."));
      return false;
    }
    clearProblems();
    const attachments = pictures.map((url) => {
      const [, media_type, data_base64] = /^data:([^;]+);base64,(.*)$/.exec(url);
      return { media_type, data_base64 };
    });
    const body = {
      ...options,
      message,
      attachments,
      session_id: this.sessionId,
      stream: true,
      // A reload or a lost connection does not end the answer.
      on_disconnect: "continue",
    };
    const shown = this.thread.addUser(message, pictures);
    const isAnswered = await this.show((stream) => startRun(this.api, body, stream));
    if (!isAnswered) this.thread.remove(shown);
    return isAnswered;
  }

  /** Show the events of a run from its beginning. */
  follow(runId) {
    return this.show((stream) => followRun(this.api, runId, stream), { isLive: false });
  }

  /** Continue an interrupted run. */
  resume(runId) {
    return this.show((stream) => resumeRun(this.api, runId, stream));
  }

  /** Ask the service to stop the active run. What it wrote stays, and the stream ends with the reason. */
  async cancel() {
    if (!this.runId) return this.leave();
    try {
      await this.api.post(`/chat/runs/${this.runId}/cancel`);
    } catch (error) {
      showProblem(error);
    }
  }

  /** Stop reading the active run, which continues without this tab. */
  leave() {
    this.reading?.abort(new DOMException("Another conversation was opened.", "AbortError"));
    this.reading = this.runId = null;
    showConnection("open");
    this.events.onActive(false);
  }

  /** Show the events of a stream as an answer. Return false if there were none. */
  async show(open, { isLive = true } = {}) {
    const reading = (this.reading = new AbortController());
    this.events.onActive(true);
    let answer = null;
    try {
      for await (const event of open({ signal: reading.signal, onConnection: showConnection })) {
        if (this.reading !== reading) return true;
        answer ??= this.thread.addAnswer({ isLive });
        if (event.type === "start") this.begin(event, isLive);
        answer.apply(event);
      }
    } catch (error) {
      if (!reading.signal.aborted) {
        answer?.finish(null);
        this.refused(error);
      }
    }
    if (this.reading === reading) {
      this.reading = this.runId = null;
      showConnection("open");
      this.events.onActive(false);
      if (answer) this.events.onEnd();
    }
    return answer !== null;
  }

  begin({ run_id: runId, session_id: sessionId }, isLive) {
    this.runId = runId;
    this.shownRuns.add(runId);
    if (sessionId && this.sessionId !== sessionId) {
      this.sessionId = sessionId;
      history.replaceState(null, "", `#${sessionId}`);
      this.events.onSession(sessionId);
    }
    if (isLive) this.channel.postMessage({ sessionId, runId });
  }

  refused(error) {
    const busy = error instanceof ApiError && error.code === "session_busy";
    if (busy) showProblem(error, button("Follow that run", () => this.open(this.sessionId)));
    else showProblem(error);
  }
}
