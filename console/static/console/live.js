/* Keeps a page of the console up to date. The socket says that something changed; the page is then read again, and
   its parts with the attribute data-live, and lists, are changed. The server renders everything, once. */

import { patch } from "./patch.js";

const LIVE = "[data-live], #changelist-form";
const RETRY_SECONDS = [1, 2, 5, 10];
const MAX_LIVE_CHARACTERS = 100_000;

const script = document.getElementById("console-live");
const state = document.getElementById("console-state");
const answer = document.getElementById("live-answer");
let cursor = script.dataset.cursor;
let after = Number(answer?.dataset.after ?? 0);
let socket = null;
let attempts = 0;
let reading = false;
let isStale = false;
/** The pieces of the running answer that the page does not have yet: the number of the event, and the text. */
let pieces = [];

function connect() {
  const url = new URL(script.dataset.socket, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  socket.onopen = () => {
    attempts = 0;
    show("live", "Live");
    send({ type: "watch", cursor });
    if (answer?.dataset.run) send({ type: "follow", run: answer.dataset.run, after });
  };
  socket.onmessage = ({ data }) => receive(JSON.parse(data));
  socket.onclose = ({ code }) => {
    // 4401: the user has logged out, or is no longer staff.
    if (code === 4401) return show("offline", "Logged out");
    show("offline", "Reconnecting");
    const seconds = RETRY_SECONDS[Math.min(attempts++, RETRY_SECONDS.length - 1)];
    setTimeout(connect, 1000 * seconds * (0.5 + Math.random()));
  };
}

function send(message) {
  socket.send(JSON.stringify(message));
}

function show(name, text) {
  state.className = `console-state console-${name}`;
  state.textContent = text;
}

function receive(message) {
  if (message.type === "changed") {
    cursor = message.cursor;
    refresh();
    return;
  }
  after = message.id;
  if (message.type === "token") append(message.id, message.token);
  else if (message.type === "tool_output") append(message.id, message.text);
  else if (message.type !== "reasoning") refresh();
}

/** Append a piece of the running answer. It is text: markup in it has no effect. */
function append(id, text) {
  pieces.push({ id, text });
  answer.hidden = false;
  answer.append(text);
  if (answer.textContent.length > MAX_LIVE_CHARACTERS) {
    pieces = [{ id, text: answer.textContent.slice(-MAX_LIVE_CHARACTERS / 2) }];
    answer.textContent = pieces[0].text;
  }
}

async function refresh() {
  // A change while the page is read asks for one more reading, however many there are.
  if (reading) {
    isStale = true;
    return;
  }
  reading = true;
  try {
    do {
      isStale = false;
      const response = await fetch(location.href, { credentials: "same-origin" });
      if (response.redirected || !response.ok) return;
      replace(new DOMParser().parseFromString(await response.text(), "text/html"));
    } while (isStale);
  } catch {
    // The service is away: the socket is closed too, and reads the page again once it is back.
  } finally {
    reading = false;
  }
}

function replace(page) {
  const now = page.querySelectorAll(LIVE);
  document.querySelectorAll(LIVE).forEach((part, place) => {
    const other = now[place];
    if (!other || part.innerHTML === other.innerHTML || isInUse(part)) return;
    const known = new Set([...part.querySelectorAll("a[href]")].map((link) => link.getAttribute("href")));
    patch(part, other);
    part.querySelectorAll("tbody tr").forEach((row) => {
      const link = row.querySelector("a[href]");
      if (link && !known.has(link.getAttribute("href"))) row.classList.add("is-new");
    });
  });
  if (!answer) return;
  // What was streamed up to its last event is now part of the page.
  const shown = page.getElementById("live-answer");
  pieces = shown?.dataset.isOpen ? pieces.filter(({ id }) => id > Number(shown.dataset.after)) : [];
  answer.textContent = pieces.map(({ text }) => text).join("");
  answer.hidden = pieces.length === 0;
}

/** Return whether the user is about to write, choose or copy something in this part of the page. */
function isInUse(part) {
  const isTyping = part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");
  const selection = getSelection();
  const isSelecting = !selection.isCollapsed && part.contains(selection.anchorNode);
  return isTyping || isSelecting || part.querySelector("input.action-select:checked") !== null;
}

// On a phone, the navigation is wider than the window.
document.querySelector(".console-nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
connect();
