/** The playground: it connects the parts of the page. Each part is a module of its own. */

import { Conversation } from "./conversation.js";
import { Api } from "./service/api.js";
import { Voice } from "./speech/voice.js";
import { Attachments } from "./view/attachments.js";
import { byId } from "./view/elements.js";
import { Files } from "./view/files.js";
import { KeyDialog } from "./view/keys.js";
import { ModelChoice } from "./view/models.js";
import { SessionActions } from "./view/session-actions.js";
import { SessionList } from "./view/sessions.js";
import { Thread } from "./view/thread.js";

const keys = new KeyDialog((key) => (api.key = key));
const api = new Api(document.documentElement.dataset.base ?? "", (refusal) => keys.ask(refusal));
const models = new ModelChoice(api);
const attachments = new Attachments();
const sessions = new SessionList(
  api,
  new SessionActions(api, {
    onRenamed: () => sessions.refresh(conversation.sessionId),
    onDeleted: (sessionId) => (sessionId === conversation.sessionId ? beginAnew() : sessions.refresh(conversation.sessionId)),
  }),
);
const files = new Files(api, () => conversation.sessionId);
const voice = new Voice(api);
const thread = new Thread({
  api,
  resume: (runId) => conversation.resume(runId),
  onFilesChanged: () => files.refresh(),
  onText: (piece) => voice.say(piece),
});
const conversation = new Conversation(api, thread, {
  onActive: (isActive) => {
    byId("stop").hidden = !isActive;
    byId("send").hidden = isActive;
  },
  onSession: (sessionId) => sessions.refresh(sessionId),
  onEnd: () => {
    voice.finish();
    files.refresh();
    sessions.refresh(conversation.sessionId);
  },
});

const message = byId("message");
const reasoning = byId("reasoning");

async function send() {
  const text = message.value.trim();
  if (conversation.isActive || !(text || attachments.items.length)) return;
  const sent = {
    message: attachments.within(text),
    pictures: attachments.pictures,
    reasoning: reasoning.checked ? "show" : "hide",
    ...models.chosen,
  };
  const items = attachments.items;
  message.value = "";
  attachments.clear();
  if (await conversation.send(sent)) return;
  // Nothing that a person wrote is lost when the service refuses it.
  message.value = [text, message.value].filter(Boolean).join("\n\n");
  attachments.items = [...items, ...attachments.items];
  attachments.show();
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
message.addEventListener("keydown", (event) => {
  // While an input method composes a word, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
byId("stop").addEventListener("click", () => {
  voice.interrupt();
  conversation.cancel();
  message.focus();
});
byId("change-key").addEventListener("click", async () => {
  if (await keys.ask()) start();
});

for (const toggle of document.querySelectorAll("[data-panel]")) {
  const panel = byId(toggle.dataset.panel);
  const show = (isShown) => {
    panel.classList.toggle("shown", isShown);
    toggle.setAttribute("aria-expanded", String(isShown));
  };
  toggle.addEventListener("click", () => show(toggle.getAttribute("aria-expanded") !== "true"));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    show(false);
    toggle.focus();
  });
}

/** Open the session of the fragment. Other fragments are places of the page, such as that of the skip link. */
async function openFromAddress() {
  const fragment = location.hash.slice(1);
  if (fragment && !/^[0-9a-f-]{36}$/.test(fragment)) return;
  voice.interrupt();
  await conversation.open(fragment || null);
}

/** Open an empty conversation in the place of one that was deleted. */
async function beginAnew() {
  // Without an entry in the history, which would lead back to what is gone.
  history.replaceState(null, "", location.pathname + location.search);
  await openFromAddress();
  message.focus();
}

window.addEventListener("hashchange", openFromAddress);
// Another client may have started a run while this tab was in the background.
window.addEventListener("focus", () => conversation.catchUp().catch(() => {}));

async function start() {
  await models.refresh();
  await openFromAddress();
  await files.refresh();
  message.focus();
}

start();
