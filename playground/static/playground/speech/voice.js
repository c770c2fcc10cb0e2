/**
 * Talking and listening: the microphone becomes text in the message, and answers are read aloud while they arrive.
 */

import { randomName } from "../service/api.js";
import { byId } from "../view/elements.js";
import { showProblem } from "../view/notices.js";
import { oneLine, visible } from "../view/text.js";
import { Microphone } from "./microphone.js";
import { Player } from "./player.js";
import { SpeechSocket } from "./socket.js";
import { SpokenText } from "./spoken-text.js";

/** Refusals that need no person: pieces of an answer that was interrupted, and a socket that was not used. */
const EXPECTED = new Set(["answer_discarded", "idle"]);

const MAX_CAPTION = 160;

export class Voice {
  /** @param {import("../service/api.js").Api} api */
  constructor(api) {
    this.talk = byId("talk");
    this.listen = byId("listen");
    this.caption = byId("caption");
    this.message = byId("message");
    this.socket = new SpeechSocket(api, {
      onEvent: (event, audio) => this.apply(event, audio),
      onRefusal: (refusal) => EXPECTED.has(refusal.code) || showProblem(refusal),
      onClose: () => this.microphone && this.stopTalking(),
    });
    /** @type {Microphone | null} */
    this.microphone = null;
    /** @type {Player | null} */
    this.player = null;
    /** @type {SpokenText | null} The answer that is read aloud. */
    this.text = null;
    this.answer = "";
    /** True if the rest of this answer is only read, not heard. */
    this.isSilenced = false;
    this.talk.addEventListener("click", () => (this.microphone ? this.stopTalking() : this.startTalking()));
    this.listen.addEventListener("click", () => this.readAloud(!this.player));
  }

  async startTalking() {
    this.talk.disabled = true;
    try {
      this.microphone = await Microphone.open((samples) => this.socket.sendAudio(samples));
      await this.socket.send({ type: "listen", rate: this.microphone.rate });
      this.talk.setAttribute("aria-pressed", "true");
      this.show("Listening…");
    } catch (error) {
      this.microphone?.close();
      this.microphone = null;
      showProblem(error);
    }
    this.talk.disabled = false;
  }

  stopTalking() {
    this.microphone?.close();
    this.microphone = null;
    this.talk.setAttribute("aria-pressed", "false");
    this.show("");
    // What was said so far is still transcribed.
    if (this.socket.opening) this.socket.send({ type: "stop" }).catch(() => {});
    this.message.focus();
  }

  /** @param {boolean} isOn */
  readAloud(isOn) {
    this.listen.setAttribute("aria-pressed", String(isOn));
    if (isOn) {
      // A browser plays sound only after a click, such as this one.
      this.player = new Player((text) => this.show(text || (this.microphone ? "Listening…" : "")));
    } else {
      this.interrupt();
      this.player?.context.close();
      this.player = null;
    }
  }

  /** Say a piece of the answer, if answers are read aloud. */
  say(piece) {
    if (!this.player || this.isSilenced) return;
    if (!this.text) {
      this.text = new SpokenText();
      this.answer = randomName();
    }
    const text = this.text.add(piece);
    if (text) this.speak({ text });
  }

  /** Say the rest of the answer. */
  finish() {
    if (this.text && !this.isSilenced) this.speak({ text: this.text.end(), end: true });
    this.text = null;
    this.isSilenced = false;
  }

  /** Be silent, and discard what waits. */
  interrupt() {
    this.player?.stop();
    this.isSilenced = this.text !== null;
    if (this.socket.opening) this.socket.send({ type: "stop_speaking" }).catch(() => {});
  }

  async speak(message) {
    try {
      await this.socket.send({ type: "speak", answer: this.answer, format: "wav", ...message });
    } catch (error) {
      this.readAloud(false);
      showProblem(error);
    }
  }

  /** Show an event of the speech service. */
  apply(event, audio) {
    if (event.type === "sentence") {
      if (event.answer === this.answer) this.player?.add(event.text, audio);
    } else if (event.type === "speech_started" || event.type === "speech_stopped") {
      // A person who begins to speak is not talked over, and what was not spoken stays unspoken.
      this.player?.stop();
      if (event.answer === this.answer && this.text) this.isSilenced = true;
    } else if (event.type === "transcript" && event.final) {
      if (this.microphone) this.show("Listening…");
      this.insert(event.text);
    } else if (event.type === "transcript") {
      this.show(event.text);
    }
  }

  /** Add a transcribed text to the message, which the person can change before it is sent. */
  insert(text) {
    if (!text) return;
    const before = this.message.value.trimEnd();
    this.message.value = before ? `${before} ${visible(text)}` : visible(text);
    this.message.dispatchEvent(new Event("input"));
  }

  show(text) {
    this.caption.textContent = oneLine(text, MAX_CAPTION);
  }
}
