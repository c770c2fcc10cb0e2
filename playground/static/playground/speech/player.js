/** Plays sentences one after another, without gaps. */

export class Player {
  /** @param {(text: string) => void} onSentence Called when a sentence begins to play, and with "" behind the last. */
  constructor(onSentence) {
    this.onSentence = onSentence;
    this.context = new AudioContext();
    this.waiting = Promise.resolve();
    /** @type {AudioBufferSourceNode | null} */
    this.source = null;
    this.turn = 0;
  }

  /** Play the audio behind what waits already. */
  add(text, audio) {
    const turn = this.turn;
    // Decoded at once, and played in its turn.
    const decoded = this.context.decodeAudioData(audio);
    decoded.catch(() => {});
    this.waiting = this.waiting
      .then(async () => turn === this.turn && this.play(text, await decoded))
      .catch((error) => console.warn("A sentence could not be played.", error));
  }

  async play(text, buffer) {
    await this.context.resume();
    await new Promise((resolve) => {
      this.source = this.context.createBufferSource();
      this.source.buffer = buffer;
      this.source.connect(this.context.destination);
      this.source.onended = resolve;
      this.source.start();
      this.onSentence(text);
    });
    this.onSentence("");
  }

  /** Be silent at once, and forget what waits. */
  stop() {
    this.turn += 1;
    this.source?.stop();
  }
}
