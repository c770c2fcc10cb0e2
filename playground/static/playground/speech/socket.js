/** The WebSocket of speech, `/ws/speech`. It opens when it is first needed, and again after it was closed. */

import { ApiError } from "../service/api.js";

/**
 * @typedef {object} SpeechEvents
 * @property {(event: {type: string} & Record<string, any>, audio: ArrayBuffer | null) => void} onEvent
 * `audio` is that of a `sentence`.
 * @property {(refusal: ApiError) => void} onRefusal
 * @property {() => void} onClose
 */

export class SpeechSocket {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {SpeechEvents} events
   */
  constructor(api, events) {
    this.api = api;
    this.events = events;
    /** @type {Promise<WebSocket> | null} */
    this.opening = null;
    /** @type {any} The newest `sentence`, whose audio is the next binary message. */
    this.sentence = null;
  }

  /** Send a message, in the order of the calls. */
  async send(message) {
    (await this.open()).send(JSON.stringify(message));
  }

  /** Send samples at once, or drop them if the socket is not open: old audio is worth nothing. */
  sendAudio(samples) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(samples);
  }

  open() {
    this.opening ??= new Promise((resolve, reject) => {
      const url = new URL(`${this.api.base}/ws/speech`, location.href);
      url.protocol = url.protocol.replace("http", "ws");
      // A page cannot set headers of a WebSocket, and a key does not belong into a URL: it is a subprotocol.
      const protocols = this.api.key ? ["orchestrator", `bearer.${this.api.key}`] : ["orchestrator"];
      const socket = (this.socket = new WebSocket(url, protocols));
      socket.binaryType = "arraybuffer";
      socket.onopen = () => resolve(socket);
      socket.onmessage = ({ data }) => this.receive(data);
      socket.onclose = () => {
        this.opening = null;
        reject(new TypeError("The speech service is unreachable."));
        this.events.onClose();
      };
    });
    return this.opening;
  }

  receive(data) {
    if (data instanceof ArrayBuffer) {
      this.events.onEvent(this.sentence, data);
      return;
    }
    const event = JSON.parse(data);
    if (event.type === "refused") this.events.onRefusal(new ApiError(event.status, event));
    else if (event.type === "sentence") this.sentence = event;
    else this.events.onEvent(event, null);
  }
}
