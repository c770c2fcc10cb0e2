/** Runs in the audio thread: it turns the microphone's samples into messages of 16-bit samples, ten a second. */

const MESSAGES_A_SECOND = 10;

class Samples extends AudioWorkletProcessor {
  constructor() {
    super();
    this.buffer = new Int16Array(Math.round(sampleRate / MESSAGES_A_SECOND));
    this.count = 0;
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.buffer[this.count] = Math.max(-1, Math.min(1, sample)) * 32_767;
      this.count += 1;
      if (this.count === this.buffer.length) {
        this.port.postMessage(this.buffer.slice().buffer);
        this.count = 0;
      }
    }
    return true;
  }
}

registerProcessor("samples", Samples);
