/**
 * Requests to the service.
 *
 * The key lives in `sessionStorage`: it stays in this tab, and no other tab, no URL and no cookie gets it.
 */

const KEY_NAME = "orchestrator-key";

/** A refusal of the service: its HTTP status, its code for programs, and its sentence for people. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, error?: string, detail?: object[]}} body
   * @param {number | null} retryAfter Seconds after which a retry makes sense.
   */
  constructor(status, body, retryAfter = null) {
    super(body.error ?? `The service answered with the status ${status}.`);
    this.status = status;
    this.code = body.code ?? "unknown";
    this.detail = body.detail ?? [];
    this.retryAfter = retryAfter;
  }

  /** @param {Response} response */
  static async of(response) {
    // A proxy in front of the service may answer with HTML.
    const body = await response.json().catch(() => ({}));
    const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
    return new ApiError(response.status, body, Number.isNaN(seconds) ? null : seconds);
  }
}

/**
 * @typedef {object} RequestOptions
 * @property {unknown} [json] The body, sent as JSON.
 * @property {Record<string, string>} [headers]
 * @property {Record<string, string | number | null | undefined>} [query] Empty values are left out.
 * @property {AbortSignal} [signal]
 */

export class Api {
  /**
   * @param {string} base The path that the service is below, such as `/agent`; empty for the root.
   * @param {(refusal: ApiError) => Promise<boolean>} askForKey Asks the person for a key; true if there is a new one.
   */
  constructor(base, askForKey) {
    this.base = base;
    this.askForKey = askForKey;
  }

  get key() {
    return sessionStorage.getItem(KEY_NAME) ?? "";
  }

  set key(key) {
    if (key) sessionStorage.setItem(KEY_NAME, key);
    else sessionStorage.removeItem(KEY_NAME);
  }

  /**
   * Return the response if its status is a success. Throws `ApiError`, or `TypeError` if the service is unreachable.
   *
   * @param {string} method
   * @param {string} path
   * @param {RequestOptions} [options]
   * @returns {Promise<Response>}
   */
  async request(method, path, { json, headers = {}, query = {}, signal } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const search = given.length ? `?${new URLSearchParams(given)}` : "";
    const response = await fetch(`${this.base}${path}${search}`, {
      method,
      signal,
      body: json === undefined ? undefined : JSON.stringify(json),
      headers: {
        ...(this.key ? { Authorization: `Bearer ${this.key}` } : {}),
        ...(json === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
    });
    if (response.ok) return response;
    const refusal = await ApiError.of(response);
    if (refusal.status === 401 && (await this.askForKey(refusal))) {
      return this.request(method, path, { json, headers, query, signal });
    }
    throw refusal;
  }

  /** @param {string} path @param {RequestOptions["query"]} [query] */
  async get(path, query) {
    return (await this.request("GET", path, { query })).json();
  }

  /** @param {string} path @param {unknown} [json] */
  async post(path, json) {
    return (await this.request("POST", path, { json })).json();
  }
}

/** Return the URL path of a workspace file; slashes separate folders, everything else is escaped. */
export function filePath(path) {
  return `/workspace/files/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Return a random name. `crypto.randomUUID` is missing on pages without HTTPS. */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
