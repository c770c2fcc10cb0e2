/**
 * The conversation of this tab: one session, and at most one run at a time.
 *
 * The session's id is in the fragment of the URL, so a reload, a bookmark and another tab open the same one. A fragment
 * is not sent to any server.
 */

import { ApiError } from "./service/api.js";
import { followRun, resumeRun, startRun } from "./service/events.js";
import { button } from "./view/elements.js";
import { clearProblems, showConnection, showProblem } from "./view/notices.js";

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
    this.channel = new BroadcastChannel(CHANNEL);
    this.channel.onmessage = ({ data }) => {
      if (data.sessionId === this.sessionId && data.runId !== this.runId) this.catchUp();
    };
  }

  get isActive() {
    return this.reading !== null;
  }

  /** Open the session with this id, or an empty conversation. */
  async open(sessionId) {
    this.leave();
    this.sessionId = sessionId;
    this.thread.clear();
    clearProblems();
    if (sessionId) {
      try {
        await this.showSession(sessionId);
      } catch (error) {
        showProblem(error);
      }
    }
    this.events.onSession(sessionId);
  }

  async showSession(sessionId) {
    const path = `/chat/sessions/${sessionId}`;
    const session = await this.api.get(path);
    let page = await this.api.get(`${path}/messages`, { limit: MAX_SHOWN });
    if (page.count > MAX_SHOWN) {
      page = await this.api.get(`${path}/messages`, { limit: MAX_SHOWN, offset: page.count - MAX_SHOWN });
    }
    // Another session may have been opened meanwhile.
    if (this.sessionId !== sessionId) return;
    this.thread.clear();
    this.thread.showStored(page.items, session.active_run);
    if (session.active_run) this.follow(session.active_run);
  }

  /** Show a run that another tab or client started in this session, if there is one. */
  async catchUp() {
    if (!this.sessionId || this.isActive) return;
    const { active_run: activeRun } = await this.api.get(`/chat/sessions/${this.sessionId}`);
    if (activeRun && !this.isActive) await this.open(this.sessionId);
  }

  /**
   * Send a message, and show the answer while it arrives. Return false if the service refused it.
   *
   * @param {{message: string, pictures: string[], provider: string | null, model: string | null, reasoning: string}} sent
   * `pictures` are `data:` addresses.
   */
  async send({ message, pictures, ...options }) {
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
      if (!reading.signal.aborted) this.refused(error);
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
