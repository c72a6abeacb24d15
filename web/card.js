/**
 * One export as the user sees it.
 *
 * @import { Export } from "./types.js"
 * @typedef {import("./texts.js").Language} Language
 * @typedef {"download" | "cancel" | "retry" | "remove"} Action
 */

import { button, make } from "./dom.js";

/** @type {Record<Action, readonly string[]>} the states in which an action makes sense */
const WHEN = {
  download: ["SUCCEEDED"],
  cancel: ["QUEUED", "RUNNING"],
  retry: ["FAILED", "CANCELLED"],
  remove: ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"],
};

/** @param {Export} export_ */
export function isActive(export_) {
  return WHEN.cancel.includes(export_.status);
}

export class Card {
  #language;
  #title;
  #names;
  #columns;
  #parts;
  /** @type {Record<Action, HTMLButtonElement>} */
  #actions;
  visible = true;

  /**
   * @param {Export} shown @param {import("./types.js").Report | undefined} report @param {Language} language
   * @param {(action: Action, card: Card) => void} act
   */
  constructor(shown, report, language, act) {
    const { texts } = language;
    const title = report?.title ?? shown.report;
    this.#language = language;
    this.#title = title;
    this.#names = report?.parameters.properties ?? {};
    this.#columns = new Map(report?.columns.map((each) => [each.name, each.title]));
    this.shown = shown;
    const named = { "aria-label": "" };
    this.#parts = {
      heading: make("h3", { tabindex: "-1", part: "title" }, title),
      status: make("span", { class: "status", part: "status" }),
      what: make("p", { class: "what" }),
      progress: make("progress", { part: "progress", ...named }),
      parts: make("span", { class: "help" }),
      facts: make("p", { class: "facts", part: "facts" }),
      trouble: make("div", { class: "trouble", part: "trouble" }),
      fault: make("p", { class: "fault", role: "alert", hidden: true }),
    };
    this.#actions = {
      download: button(texts.download, "primary", () => act("download", this)),
      retry: button(texts.retry, "primary", () => act("retry", this)),
      cancel: button(texts.cancel, "quiet", () => act("cancel", this)),
      remove: button(texts.remove, "quiet", () => act("remove", this)),
    };
    for (const each of Object.values(this.#actions)) each.setAttribute("aria-description", shown.file_name);
    const { heading, status, what, progress, parts, facts, trouble, fault } = this.#parts;
    progress.setAttribute("aria-label", texts.progress(title));
    this.element = make(
      "article",
      { class: "card", part: "export" },
      make("header", {}, heading, status),
      what,
      facts,
      make("div", { class: "bar" }, progress, parts),
      trouble,
      fault,
      make("div", { class: "actions", part: "actions" }, ...Object.values(this.#actions)),
    );
    this.update(shown);
  }

  /** Shows a newer state. @param {Export} shown */
  update(shown) {
    const { texts } = this.#language;
    this.shown = shown;
    const { heading, status, what, progress, parts, facts, trouble } = this.#parts;
    this.element.dataset.status = shown.status;
    status.textContent = /** @type {Record<string, string>} */ (texts.status)[shown.status] ?? shown.status;
    const format = /** @type {Record<string, string>} */ (texts.formats)[shown.format] ?? shown.format;
    const parameters = Object.entries(shown.parameters).map(
      ([name, value]) => `${this.#names[name]?.title ?? name}: ${this.#language.value(value)}`,
    );
    const title = (/** @type {string} */ name) => this.#columns.get(name) ?? name;
    const columns = shown.columns && `${texts.columns}: ${shown.columns.map(title).join(", ")}`;
    const keys = shown.sort?.map((key) => title(key.column) + (key.descending ? ` (${texts.descending})` : ""));
    const order = keys && `${texts.order}: ${keys.join(", ")}`;
    what.textContent = [format, ...parameters, columns, order].filter(Boolean).join(" · ");

    const { parts_done: done, parts_total: total } = shown.progress;
    progress.parentElement?.toggleAttribute("hidden", !isActive(shown));
    parts.textContent = total ? texts.parts(this.#language.number(done ?? 0), this.#language.number(total)) : "";
    if (total) {
      progress.max = total;
      progress.value = done ?? 0;
    } else progress.removeAttribute("value");

    const expires = shown.expires_at && shown.status === "SUCCEEDED" ? shown.expires_at : null;
    facts.textContent = [
      texts.requested(this.#language.time(shown.created_at)),
      shown.rows !== null && texts.rows(this.#language.number(shown.rows), shown.rows === 1),
      shown.bytes !== null && this.#language.size(shown.bytes),
      expires && texts.expires(this.#language.distance(expires)),
    ]
      .filter(Boolean)
      .join(" · ");
    facts.title = expires ? this.#language.time(expires) : "";

    const { error, warning } = shown;
    trouble.hidden = !error && !warning;
    trouble.replaceChildren();
    if (error ?? warning) {
      const [title, remedy] = this.#language.failure(/** @type {any} */ (error ?? warning));
      const detail = error?.detail && this.#language.english(error.detail);
      trouble.append(make("strong", {}, title), make("p", {}, detail), make("p", {}, remedy));
    }

    const root = /** @type {ShadowRoot} */ (this.element.getRootNode());
    for (const [name, each] of Object.entries(this.#actions)) {
      const hide = !WHEN[/** @type {Action} */ (name)].includes(shown.status);
      if (hide && root.activeElement === each) heading.focus();
      each.hidden = hide;
    }
    // What a retry cannot help is still possible, but it is not the first thing to do.
    this.#actions.retry.className = error && !error.retryable ? "quiet" : "primary";
  }

  /** Names the state, for the live region. */
  get announcement() {
    return this.#language.texts.announced(this.#title, this.#parts.status.textContent ?? "");
  }

  /** @param {...import("./texts.js").Said} said why an action failed; nothing: it did not */
  say(...said) {
    this.#parts.fault.replaceChildren(...said);
    this.#parts.fault.hidden = !said.length;
  }

  focus() {
    this.#parts.heading.focus();
  }

  /** @param {boolean} busy */
  set busy(busy) {
    for (const each of Object.values(this.#actions)) each.setAttribute("aria-disabled", String(busy));
  }
}
