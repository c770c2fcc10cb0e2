/** The files of the workspace: folders to walk through, and one file to read or download. */

import { filePath } from "../service/api.js";
import { dataUrl } from "./attachments.js";
import { button, byId, el, fill, refill } from "./elements.js";
import { diffView, isDiff } from "./diff.js";
import { showProblem } from "./notices.js";
import { size, visible } from "./text.js";

/** Bytes of a text that are shown. The download has all of them. */
const MAX_SHOWN_BYTES = 256 * 1024;
const MAX_PICTURE_BYTES = 16 * 2 ** 20;
const PICTURE = /\.(?:png|jpe?g|gif|webp)$/i;
const MEDIA_TYPES = { png: "image/png", gif: "image/gif", webp: "image/webp" };

export class Files {
  /**
   * @param {import("../service/api.js").Api} api
   * @param {() => string | null} sessionId With `WORKSPACE_SCOPE=session`, each session has its own files.
   */
  constructor(api, sessionId) {
    this.api = api;
    this.sessionId = sessionId;
    this.path = "";
  }

  /** List the folder again. */
  async refresh() {
    const path = this.path;
    try {
      const query = { path, session_id: this.sessionId() };
      const { items, truncated } = await this.api.get("/workspace/files", query);
      // Another folder may have been opened meanwhile.
      if (this.path !== path) return;
      const folders = items.filter((item) => item.type === "directory");
      const others = items.filter((item) => item.type !== "directory");
      refill(byId("files"), ...[...folders, ...others].map((item) => this.entry(item)));
      byId("files-note").textContent = truncated ? "There are more: open a folder." : items.length ? "" : "No files yet.";
      this.showTrail();
    } catch (error) {
      // A folder may be gone, or belong to another session.
      if (error.status === 404 && this.path) return this.open("");
      // Without the scope, the rest of the page still works.
      if (error.status === 403) byId("files-note").textContent = error.message;
      else showProblem(error);
    }
  }

  /** Open a folder, and give the focus to its name: the button that was pressed is gone. */
  async enter(path) {
    await this.open(path);
    byId("trail").lastElementChild?.firstElementChild.focus();
  }

  open(path) {
    this.path = path;
    byId("file").replaceChildren();
    return this.refresh();
  }

  entry(item) {
    const name = item.path.split("/").at(-1);
    const isFolder = item.type === "directory";
    const label = el("span", { class: "title" }, visible(isFolder ? `${name}/` : name));
    const choose = button("", () => (isFolder ? this.enter(item.path) : this.read(item)), { class: "entry", "data-name": item.path });
    choose.append(label, el("span", { class: "quiet" }, isFolder ? "" : size(item.size)));
    return el("li", {}, choose);
  }

  showTrail() {
    const folders = this.path ? this.path.split("/") : [];
    const steps = [["Workspace", ""], ...folders.map((name, place) => [name, folders.slice(0, place + 1).join("/")])];
    fill(byId("trail"), ...steps.map(([name, path]) => el("li", {}, button(visible(name), () => this.enter(path)))));
  }

  /** Show a file. */
  async read({ path, size: bytes }) {
    const file = byId("file");
    try {
      // A picture is read as a whole, and a file of any size may have its name.
      const isPicture = PICTURE.test(path) && bytes <= MAX_PICTURE_BYTES;
      const range = isPicture || bytes <= MAX_SHOWN_BYTES ? {} : { Range: `bytes=0-${MAX_SHOWN_BYTES - 1}` };
      const response = await this.request(path, range);
      const content = isPicture ? await picture(path, response) : await text(response, bytes);
      const download = button("Download", () => this.download(path));
      fill(file, el("h3", { tabindex: "-1" }, visible(path)), content, download);
      file.firstElementChild.focus();
    } catch (error) {
      showProblem(error);
    }
  }

  /** Save a file. A plain link could not send the key. */
  async download(path) {
    try {
      const url = URL.createObjectURL(await (await this.request(path)).blob());
      el("a", { href: url, download: path.split("/").at(-1) }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      showProblem(error);
    }
  }

  request(path, headers = {}) {
    return this.api.request("GET", filePath(path), { headers, query: { session_id: this.sessionId() } });
  }
}

/** A picture as a `data:` address. Its type is one of the four that a browser cannot run scripts in. */
async function picture(path, response) {
  const type = MEDIA_TYPES[path.split(".").at(-1).toLowerCase()] ?? "image/jpeg";
  return el("img", { src: await dataUrl(new Blob([await response.arrayBuffer()], { type })), alt: visible(path) });
}

async function text(response, bytes) {
  const content = await response.arrayBuffer();
  try {
    // The end of a part may cut a character, which `stream` leaves out.
    const shown = new TextDecoder("utf-8", { fatal: true }).decode(content, { stream: content.byteLength < bytes });
    if (shown.includes("\0")) throw new TypeError("a binary file");
    const cut = content.byteLength < bytes && el("p", { class: "quiet" }, `The first ${size(content.byteLength)}.`);
    return el("div", {}, isDiff(shown) ? diffView(shown) : el("pre", { tabindex: "0" }, visible(shown)), cut);
  } catch {
    return el("p", { class: "quiet" }, `A binary file of ${size(bytes)}.`);
  }
}
