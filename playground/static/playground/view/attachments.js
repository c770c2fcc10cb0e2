/** Pictures and text files beside a message: chosen, pasted or dropped. Their limits are the API's. */

import { button, byId, el } from "./elements.js";
import { Problem, showProblem } from "./notices.js";
import { size, visible } from "./text.js";

const PICTURES = ["image/png", "image/jpeg", "image/gif", "image/webp"];
const MAX_FILES = 16;
const MAX_PICTURE_BYTES = 8 * 2 ** 20;
/** Text becomes part of the message, which the model reads as a whole. */
const MAX_TEXT_BYTES = 256 * 1024;

/**
 * @typedef {{name: string, picture: string} | {name: string, text: string}} Attachment
 * A picture is a `data:` address.
 */

export class Attachments {
  constructor() {
    /** @type {Attachment[]} */
    this.items = [];
    this.list = byId("attachments");
    const input = byId("attach-input");
    byId("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      // A copy: the list is emptied with the field.
      this.add([...input.files]);
      input.value = "";
    });
    const form = byId("composer");
    form.addEventListener("paste", (event) => this.take(event, event.clipboardData));
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => this.take(event, event.dataTransfer));
  }

  /** Take files from a paste or a drop, and leave pasted text to the browser. */
  take(event, data) {
    if (!data.files.length) return;
    event.preventDefault();
    this.add([...data.files]);
  }

  /** @param {Iterable<File>} files */
  async add(files) {
    for (const file of files) {
      try {
        if (this.items.length >= MAX_FILES) throw new Problem(`A message can have ${MAX_FILES} files.`);
        this.items.push(await read(file));
      } catch (error) {
        showProblem(error);
      }
    }
    this.show();
  }

  clear() {
    this.items = [];
    this.show();
  }

  get pictures() {
    return this.items.filter((item) => "picture" in item).map((item) => item.picture);
  }

  /** Return the message with the text files below it. */
  within(message) {
    const texts = this.items.filter((item) => "text" in item);
    return [message, ...texts.map(({ name, text }) => `File ${name}:\n${fenced(text)}`)].filter(Boolean).join("\n\n");
  }

  show() {
    this.list.replaceChildren(...this.items.map((item) => {
      const remove = button("Remove", () => {
        this.items = this.items.filter((each) => each !== item);
        this.show();
        byId("message").focus();
      }, { class: "quiet", "aria-label": `Remove ${item.name}` });
      const preview = "picture" in item && el("img", { src: item.picture, alt: "" });
      return el("li", { class: "chip" }, preview, el("span", {}, visible(item.name)), remove);
    }));
  }
}

/** @param {File} file @returns {Promise<Attachment>} */
async function read(file) {
  if (file.type.startsWith("image/")) {
    if (!PICTURES.includes(file.type)) throw new Problem(`${file.name}: pictures are PNG, JPEG, GIF or WebP.`);
    check(file, MAX_PICTURE_BYTES);
    return { name: file.name || "Picture", picture: await dataUrl(file) };
  }
  check(file, MAX_TEXT_BYTES);
  try {
    return { name: file.name, text: new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()) };
  } catch {
    throw new Problem(`${file.name} is neither a picture nor a text in UTF-8.`);
  }
}

function check(file, maxBytes) {
  if (file.size > maxBytes) {
    throw new Problem(`${file.name} has ${size(file.size)}. At most ${size(maxBytes)} are possible.`);
  }
}

/** @param {Blob} blob @returns {Promise<string>} */
export function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Return a text as a block of code, with a fence that the text does not have. */
function fenced(text) {
  const longest = Math.max(2, ...Array.from(text.matchAll(/`{3,}/g), ([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
