/** The messages of a conversation: those that are stored, and the answers that arrive. */

import { AnswerView } from "./answer.js";
import { byId, el } from "./elements.js";
import { MarkdownView } from "./markdown.js";
import { visible } from "./text.js";

/** Distance from the end, in pixels, within which the page follows a growing answer. */
const NEAR = 120;

export class Thread {
  /** @param {import("./answer.js").AnswerPorts} ports */
  constructor(ports) {
    this.ports = ports;
    this.scroller = byId("thread");
    this.list = byId("messages");
    this.follows = true;
    let before = 0;
    this.scroller.addEventListener("scroll", () => {
      const { scrollHeight, scrollTop, clientHeight } = this.scroller;
      if (scrollHeight - scrollTop - clientHeight < NEAR) this.follows = true;
      // Only a person scrolls up. Otherwise the answer grew since the page scrolled to its end.
      else if (scrollTop < before) this.follows = false;
      before = scrollTop;
    });
    // A person who scrolled up to read stays there.
    new ResizeObserver(() => this.follows && this.scrollToEnd()).observe(this.list);
  }

  scrollToEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  clear() {
    this.list.replaceChildren();
    this.follows = true;
    byId("welcome").hidden = false;
  }

  /** Add a message of the user, and return it. `pictures` are `data:` addresses, or null if only the service has one. */
  addUser(text, pictures = []) {
    const images = pictures.map((url, place) =>
      url ? el("img", { src: url, alt: `Attached picture ${place + 1}` }) : el("span", { class: "chip" }, "Picture"),
    );
    const message = this.add(
      el(
        "article",
        { class: "user", "aria-label": "Your message" },
        text && el("div", { class: "text", tabindex: text.length > 1_500 && "0" }, visible(text)),
        images.length > 0 && el("div", { class: "pictures" }, ...images),
      ),
    );
    this.follows = true;
    this.scrollToEnd();
    return message;
  }

  /** Add an empty answer, and return it. */
  addAnswer({ isLive = true } = {}) {
    const answer = new AnswerView(this.ports, isLive);
    this.add(answer.element);
    return answer;
  }

  /**
   * Show stored messages, as `GET /chat/sessions/{id}/messages` lists them.
   *
   * @param {any[]} messages
   * @param {string | null} activeRun Its answer is left out, because its events bring it.
   */
  showStored(messages, activeRun) {
    const answers = new Map();
    for (const message of messages) {
      if (message.role === "user") this.addUser(message.content, Array(message.attachments).fill(null));
      else if (message.role === "summary") this.addSummary(message.content);
      else if (message.run_id !== activeRun) {
        if (!answers.has(message.run_id)) answers.set(message.run_id, new StoredAnswer(this, message.run_id));
        answers.get(message.run_id).add(message);
      }
    }
    for (const answer of answers.values()) answer.finish();
  }

  addNote(text) {
    this.add(el("p", { class: "remark" }, text));
  }

  addSummary(text) {
    const summary = new MarkdownView();
    summary.append(text);
    summary.show();
    this.add(
      el("details", { class: "summary" }, el("summary", {}, "Summary of earlier messages, for the model"), summary.element),
    );
  }

  add(element) {
    const item = el("li", {}, element);
    this.list.append(item);
    byId("welcome").hidden = true;
    return item;
  }

  /** Take back what `add` returned. */
  remove(item) {
    item.remove();
    byId("welcome").hidden = this.list.children.length > 0;
  }
}

/** An answer that is put together from the messages of its run, through the same events as a live one. */
class StoredAnswer {
  constructor(thread, runId) {
    this.view = thread.addAnswer({ isLive: false });
    this.view.start({ run_id: runId, model: "" });
    this.usage = null;
  }

  add(message) {
    if (message.role === "tool") this.addResult(message);
    else this.addText(message);
  }

  addText({ content, reasoning, tool_calls, usage, model }) {
    this.view.model = model ?? this.view.model;
    if (reasoning) this.view.reasoning({ text: reasoning });
    if (content) this.view.token({ token: content });
    this.view.endText();
    for (const call of tool_calls ?? []) {
      this.view.tool_call({ execution_id: call.call_id, tool: call.name, params: parsed(call.arguments) });
    }
    if (usage) this.usage = this.usage ? sum(this.usage, usage) : usage;
  }

  /** A result without a call is one of a tool that the caller ran. */
  addResult({ id, call_id, tool, content, is_error }) {
    const execution_id = call_id ?? `message-${id}`;
    if (!this.view.tools.has(execution_id)) this.view.tool_call({ execution_id, tool: tool ?? "", params: {} });
    if (is_error) this.view.tool_error({ execution_id, error: content });
    else this.view.tool_result({ execution_id, data: parsed(content) });
  }

  finish() {
    this.view.finish(this.usage);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function sum(one, other) {
  const added = (name) => (one[name] === null || other[name] === null ? null : one[name] + other[name]);
  return {
    input_tokens: added("input_tokens"),
    output_tokens: added("output_tokens"),
    cost_usd: added("cost_usd"),
    estimated: one.estimated || other.estimated,
  };
}
