/**
 * The events of a run, read from server-sent events, across lost connections.
 *
 * `EventSource` would reconnect by itself, but it can neither send a key nor POST. So the stream is read with `fetch`,
 * and continued behind the last event that arrived: `Last-Event-ID`.
 */

import { ApiError, randomName } from "./api.js";

/** Milliseconds before the first attempt to reconnect. Each further one waits twice as long. */
const FIRST_DELAY = 500;
const MAX_DELAY = 8_000;

/** Milliseconds without a byte after which a connection counts as lost. The service sends a comment every 10 s. */
const MAX_SILENCE = 45_000;

/** The service, or a proxy in front of it, answers with these during a restart. */
const RESTARTING = new Set([502, 503, 504]);

/**
 * @typedef {{type: string} & Record<string, any>} RunEvent
 * @typedef {"open" | "lost"} Connection
 * @typedef {{signal?: AbortSignal, onConnection?: (state: Connection) => void}} StreamOptions
 */

/**
 * Start a run, and yield its events up to its end.
 *
 * @param {import("./api.js").Api} api
 * @param {object} body The body of `POST /chat/stream`.
 * @param {StreamOptions} [options]
 * @returns {AsyncGenerator<RunEvent>}
 */
export async function* startRun(api, body, options = {}) {
  // With the same idempotency key, a request whose answer was lost returns the run that it began.
  const headers = { "Idempotency-Key": randomName() };
  yield* opened(api, () => api.request("POST", "/chat/stream", { json: body, headers, signal: options.signal }), options);
}

/** Continue an interrupted run as a new one, and yield its events. */
export async function* resumeRun(api, runId, options = {}) {
  yield* opened(api, () => api.request("POST", `/chat/runs/${runId}/resume`, { signal: options.signal }), options);
}

/** Open a stream that a request answers with, and yield its events. */
async function* opened(api, request, options) {
  const response = await persist(request, options);
  yield* followRun(api, response.headers.get("X-Run-Id"), { ...options, response });
}

/**
 * Yield the events of a run after number `after`, up to its end.
 *
 * @param {import("./api.js").Api} api
 * @param {string} runId
 * @param {StreamOptions & {after?: number, response?: Response}} [options] `response` is a stream that is open already.
 * @returns {AsyncGenerator<RunEvent>}
 */
export async function* followRun(api, runId, { after = 0, response, signal, onConnection = () => {} } = {}) {
  let cursor = after;
  for (;;) {
    try {
      response ??= await persist(
        () => api.request("GET", `/chat/runs/${runId}/stream`, { headers: { "Last-Event-ID": `${cursor}` }, signal }),
        { signal, onConnection, during: RESTARTING },
      );
      // 204: the run is over, and all of its events were received.
      if (response.status === 204) return;
      onConnection("open");
      for await (const frame of frames(response.body)) {
        cursor = frame.id;
        yield frame.event;
        if (frame.event.type === "end" || frame.event.type === "error") return;
      }
    } catch (error) {
      if (signal?.aborted || error instanceof ApiError) throw error;
    }
    // The stream ended before the run did: the connection was lost, or the service restarts.
    response = undefined;
    onConnection("lost");
    await pause(FIRST_DELAY, signal);
  }
}

/** Yield the frames of a stream of server-sent events: `id: <n>`, `data: <JSON>` and an empty line. */
async function* frames(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  try {
    for (;;) {
      const { done, value } = await withDeadline(reader.read(), MAX_SILENCE);
      if (done) return;
      const blocks = (unread + value).split("\n\n");
      unread = blocks.pop();
      for (const block of blocks) {
        // A comment, such as `: ping`, only shows that the connection is alive.
        if (!block.startsWith("id: ")) continue;
        const end = block.indexOf("\n");
        yield { id: Number(block.slice("id: ".length, end)), event: JSON.parse(block.slice(end + "\ndata: ".length)) };
      }
    }
  } finally {
    // Closes the connection if the reader leaves early.
    reader.cancel().catch(() => {});
  }
}

/** Repeat a request while the service is unreachable, or answers with one of the statuses in `during`. */
async function persist(request, { signal, onConnection = () => {}, during = new Set() }) {
  for (let delay = FIRST_DELAY; ; delay = Math.min(delay * 2, MAX_DELAY)) {
    try {
      return await request();
    } catch (error) {
      if (signal?.aborted || (error instanceof ApiError && !during.has(error.status))) throw error;
      onConnection("lost");
      await pause(error.retryAfter ? error.retryAfter * 1_000 : delay, signal);
    }
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function withDeadline(promise, milliseconds) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("The connection is silent.")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
