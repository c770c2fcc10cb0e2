/** The microphone as a stream of 16-bit samples of one channel. */

import { Problem } from "../view/notices.js";

/** Samples a second: what models of speech use. */
const RATE = 16_000;

const DENIED = {
  NotAllowedError: "The browser does not allow this page to use the microphone.",
  NotFoundError: "No microphone was found.",
};

export class Microphone {
  /**
   * Begin to record. Throws `Problem`.
   *
   * @param {(samples: ArrayBuffer) => void} onSamples Called ten times a second.
   * @returns {Promise<Microphone>}
   */
  static async open(onSamples) {
    if (!navigator.mediaDevices) {
      throw new Problem("A browser gives the microphone only to pages with HTTPS, or on this machine.");
    }
    // The browser removes the answer that comes out of the loudspeakers.
    const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
      throw new Problem(DENIED[error.name] ?? `The microphone could not be opened (${error.name}).`);
    });
    const context = new AudioContext({ sampleRate: RATE });
    await context.audioWorklet.addModule(new URL("./microphone-worklet.js", import.meta.url));
    const samples = new AudioWorkletNode(context, "samples", { numberOfOutputs: 0 });
    samples.port.onmessage = ({ data }) => onSamples(data);
    context.createMediaStreamSource(stream).connect(samples);
    return new Microphone(stream, context);
  }

  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
  }

  get rate() {
    return this.context.sampleRate;
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    return this.context.close();
  }
}
