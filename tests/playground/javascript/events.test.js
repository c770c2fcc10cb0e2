import assert from "node:assert/strict";
import test from "node:test";

import { ApiError } from "../playground/service/api.js";
import { followRun, startRun } from "../playground/service/events.js";

const encoder = new TextEncoder();
const frame = (id, event) => `id: ${id}\ndata: ${JSON.stringify(event)}\n\n`;
const FRAMES = frame(1, { type: "start" }) + ": ping\n\n" + frame(2, { type: "token", token: "é\n\n€ id: 9" });
const END = frame(3, { type: "end", reason: "completed" });

/** Return a response whose body arrives in pieces of `length` bytes, and then ends. */
function streamed(text, length) {
  const bytes = encoder.encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let place = 0; place < bytes.length; place += length) controller.enqueue(bytes.slice(place, place + length));
      controller.close();
    },
  });
  return new Response(body, { headers: { "X-Run-Id": "r" } });
}

/** Return an API that answers each request with the next of these, and the requests that it got. */
function serving(...answers) {
  const requests = [];
  const request = async (method, path, { headers }) => {
    requests.push([method, path, headers["Last-Event-ID"] ?? null]);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { api: { request }, requests };
}

async function collected(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

test("frames are read whole, wherever their bytes are cut", async () => {
  for (const length of [1, 2, 3, 5, 64, 10_000]) {
    const { api } = serving(streamed(FRAMES + END, length));
    const events = await collected(followRun(api, "r"));
    assert.deepEqual(events.map(({ type }) => type), ["start", "token", "end"], `pieces of ${length} bytes`);
    assert.equal(events[1].token, "é\n\n€ id: 9");
  }
});

test("a cut stream continues behind the last whole frame", async () => {
  const { api, requests } = serving(
    streamed(FRAMES + END.slice(0, 9), 7), new TypeError("unreachable"), new ApiError(503, {}), streamed(END, 7),
  );
  const states = [];
  const events = await collected(startRun(api, {}, { onConnection: (state) => states.push(state) }));
  assert.deepEqual(events.map(({ type }) => type), ["start", "token", "end"]);
  assert.deepEqual(requests, [
    ["POST", "/chat/stream", null],
    ["GET", "/chat/runs/r/stream", "2"],
    ["GET", "/chat/runs/r/stream", "2"],
    ["GET", "/chat/runs/r/stream", "2"],
  ]);
  assert.deepEqual([states[0], states.at(-1), states.includes("lost")], ["open", "open", true]);
});

test("a run without further events ends, and a refusal is thrown", async () => {
  const { api } = serving(new Response(null, { status: 204 }), new ApiError(404, { code: "not_found" }));
  assert.deepEqual(await collected(followRun(api, "r", { after: 3 })), []);
  await assert.rejects(collected(followRun(api, "r")), { code: "not_found" });
});
