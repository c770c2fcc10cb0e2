// Follow a run with EventSource, which continues behind the last event by itself. In a browser, leave out the import.
import { EventSource } from "eventsource";

const base = process.env.BASE_URL ?? "http://127.0.0.1:8010";
const headers = process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {};
const started = await fetch(`${base}/chat/stream`, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify({ message: "What is in my workspace?", on_disconnect: "continue" }),
});
const run = started.headers.get("X-Run-Id");
await started.body.cancel();

const source = new EventSource(`${base}/chat/runs/${run}/stream`, {
  fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }),
});
source.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.type === "token") process.stdout.write(event.token);
  if (event.type === "end" || event.type === "error") {
    console.log();
    source.close();
  }
};
