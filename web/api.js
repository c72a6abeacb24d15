/**
 * A client of the API of Report Exports. docs/howto/call-the-api.md lists its routes.
 *
 * @import { GetToken, Report, Export, Limits, Fault, Body } from "./types.js"
 */

import { sentence } from "./texts.js";

const TIMEOUT = 30_000; // ms; API Gateway answers within 29 s
const ATTEMPTS = 3;
const URN = "urn:report-exports:problem:";

/** The API refused a call: the problem of RFC 9457 that it answered. */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, any>} problem @param {number} pause seconds until the next try */
  constructor(status, problem, pause) {
    super(String(problem.title ?? problem.message ?? status));
    this.status = status;
    this.type = String(problem.type ?? "").slice(URN.length);
    this.detail = String(problem.detail ?? "");
    this.pause = pause;
    /** @type {Fault[]} */
    this.faults = Array.isArray(problem.errors) ? problem.errors : [];
  }

  /** What happened, for the user. */
  get text() {
    return `${sentence(this.message)} ${this.detail}`.trim();
  }
}

/** The API did not answer. Nobody knows whether it got the call. */
export class Unreachable extends Error {}

/** The API takes no token that the page has. */
export class SignInRequired extends Error {}

/** The API of one deployment, called as one user. */
export class Api {
  #address;
  #getToken;

  /** @param {string} address @param {GetToken} getToken */
  constructor(address, getToken) {
    this.#address = address.replace(/\/+$/, "");
    this.#getToken = getToken;
  }

  /** @returns {Promise<Report[]>} */
  async reports() {
    return (await this.#call("GET", "/reports")).body.reports;
  }

  /** @returns {Promise<Limits>} */
  async limits() {
    return (await this.#call("GET", "/limits")).body;
  }

  /** @param {string | null} cursor @returns {Promise<{exports: Export[], cursor: string | null}>} newest first */
  async page(cursor) {
    return (await this.#call("GET", `/exports${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`)).body;
  }

  /**
   * `pause`: seconds until it may be read again.
   *
   * @param {string} id @returns {Promise<{body: Export, pause: number}>}
   */
  async export(id) {
    return this.#call("GET", path(id));
  }

  /**
   * Requests an export. A call that may not have arrived is repeated with the same key, so it remains one export.
   *
   * @param {Body} body @param {string} key @returns {Promise<Export>}
   */
  async request(body, key) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await this.#call("POST", "/exports", body, { "Idempotency-Key": key })).body;
      } catch (error) {
        const pause = error instanceof Refused ? error.pause : 0;
        const again = error instanceof Unreachable || (error instanceof Refused && error.status >= 500);
        if (!again || attempt === ATTEMPTS) throw error;
        await new Promise((done) => setTimeout(done, Math.max(pause, attempt) * 1000));
      }
    }
  }

  /** The signed address of the file. @param {string} id @returns {Promise<string>} */
  async file(id) {
    return (await this.#call("GET", `${path(id)}/file`)).body.url;
  }

  /** Refused for an export that has ended: it keeps its file. @param {string} id @returns {Promise<Export>} */
  async cancel(id) {
    return (await this.#call("DELETE", `${path(id)}?if=active`)).body;
  }

  /** @param {string} id @returns {Promise<Export>} */
  async retry(id) {
    return (await this.#call("POST", `${path(id)}/retry`)).body;
  }

  /** @param {string} id */
  async remove(id) {
    await this.#call("DELETE", path(id));
  }

  /**
   * @param {string} method @param {string} route @param {object} [body] @param {Record<string, string>} [more] headers
   * @returns {Promise<{body: any, pause: number}>}
   */
  async #call(method, route, body, more = {}) {
    for (const anew of [false, true]) {
      /** @type {Record<string, string>} */
      const headers = { Accept: "application/json", Authorization: await this.#token(anew), ...more };
      if (body) headers["Content-Type"] = "application/json";
      const sent = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT) };
      const answer = await fetch(this.#address + route, sent).catch((error) => {
        throw new Unreachable(String(error));
      });
      if (answer.status !== 401) return read(answer);
    }
    throw new SignInRequired();
  }

  /** @param {boolean} anew */
  async #token(anew) {
    try {
      const token = await (anew ? this.#getToken({ anew }) : this.#getToken());
      if (token) return token;
    } catch (error) {
      // fetch fails with a TypeError without a network: a page that cannot renew its token now can do it later.
      if (error instanceof TypeError || !navigator.onLine) throw new Unreachable(String(error));
      console.error("getToken failed", error);
    }
    throw new SignInRequired();
  }
}

/** @param {Response} answer */
async function read(answer) {
  const pause = Number(answer.headers.get("Retry-After")) || 0;
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, body ?? {}, pause);
  if (body === null && answer.status !== 204) throw new Unreachable(`${answer.status} without JSON`);
  return { body, pause };
}

/** @param {string} id */
function path(id) {
  return `/exports/${encodeURIComponent(id)}`;
}

/** A new Idempotency-Key. `crypto.randomUUID` would need HTTPS. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
