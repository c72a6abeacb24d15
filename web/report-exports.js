/**
 * The elements <report-exports>, a page of exports, and <export-button>, one button: docs/howto/embed.md.
 *
 * @import { Export, Report, GetToken } from "./types.js"
 * @typedef {import("./card.js").Action} Action
 */

import { Api, Refused, SignInRequired, Unreachable } from "./api.js";
import { Card, isActive } from "./card.js";
import { button, make } from "./dom.js";
import { Form } from "./form.js";
import { Poll } from "./poll.js";
import { sheet } from "./style.js";
import { Language } from "./texts.js";

const LOAD = ""; // among the ids to read: what the element shows first
const LIST = "*"; // and what may have changed elsewhere
const FRESH = 5_000; // ms for which a list is as good as read now: a tab is shown and the network is back at one time
const UNKNOWN = 404;
const THROTTLED = 429;
const REFLECTED = /** @type {const} */ (["api", "report", "export"]);

/** What both elements do: the attributes, the token, the cards and their actions. */
class Exports extends HTMLElement {
  static observedAttributes = ["api", "report", "lang", "export"];

  /** @type {GetToken | undefined} */
  #getToken;
  #restarting = false;
  #halted = false; // until another token, or another attribute, can help
  #missed = false; // what has changed elsewhere is still to be read
  #listed = 0; // when it was read
  #turn = 0; // counts the starts: an answer to an earlier one is of no use
  #watched = new IntersectionObserver((entries) => this.#seen(entries));
  #poll = new Poll(
    () => this.#wanted(),
    (id) => this.#read(id),
    () => (this.#missed ||= Date.now() - this.#listed > FRESH),
  );
  #said = make("p", { class: "said", role: "status" });
  notice = make("div", { class: "notice", part: "notice", role: "alert", hidden: true });
  #dialog = make("dialog", { class: "small", part: "dialog", "aria-labelledby": "sure" });
  #body = make("div");
  loaded = false;
  language = new Language();
  client = /** @type {Api} */ (/** @type {unknown} */ (null));
  /** @type {Report[]} */
  reports = [];
  /** @type {Map<string, Card>} */
  cards = new Map();
  /** @type {Form | undefined} */
  form;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(this.#said, this.notice, this.#body, this.#dialog);
  }

  connectedCallback() {
    // A framework may have set the property before this module was loaded.
    for (const name of /** @type {const} */ (["getToken", ...REFLECTED])) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      Object.assign(this, { [name]: value });
    }
    this.#restart();
  }

  disconnectedCallback() {
    this.#poll.stop();
    this.#watched.disconnect();
  }

  /** @param {string} _name @param {string | null} old @param {string | null} value */
  attributeChangedCallback(_name, old, value) {
    if (this.isConnected && old !== value) this.#restart();
  }

  /** The function that returns a token. Set it again after the user has signed in again. */
  get getToken() {
    return this.#getToken;
  }

  /** @param {GetToken | undefined} value */
  set getToken(value) {
    if (typeof value !== "function") {
      throw new TypeError(`${this.localName}: getToken must be a function that returns a token, not ${typeof value}`);
    }
    const first = !this.#getToken;
    this.#getToken = value;
    if (!this.isConnected) return;
    if (first) {
      this.#restart();
      return;
    }
    this.client = new Api(this.api ?? "", value);
    if (this.#halted) this.#resume();
  }

  // Frameworks set a property where an element has one: each of these is its attribute.

  get api() {
    return this.getAttribute("api");
  }

  set api(value) {
    this.#reflect("api", value);
  }

  get report() {
    return this.getAttribute("report");
  }

  set report(value) {
    this.#reflect("report", value);
  }

  get export() {
    return this.getAttribute("export");
  }

  set export(value) {
    this.#reflect("export", value);
  }

  /** @param {string} name @param {string | null} value */
  #reflect(name, value) {
    if (value) this.setAttribute(name, value);
    else this.removeAttribute(name);
  }

  /** Starts anew, once for all attributes that are set together. */
  #restart() {
    if (this.#restarting) return;
    this.#restarting = true;
    queueMicrotask(() => {
      this.#restarting = false;
      if (this.isConnected) this.#start();
    });
  }

  async #start() {
    const turn = (this.#turn += 1);
    this.#poll.stop();
    this.#watched.disconnect();
    this.#halted = false;
    this.cards.clear();
    this.form = undefined;
    this.#body.before(this.notice);
    const language = await Language.load(
      this.lang || this.closest("[lang]")?.getAttribute("lang") || navigator.language,
    );
    if (turn !== this.#turn || !this.isConnected) return;
    this.language = language;
    for (const each of this.shadowRoot?.children ?? []) each.setAttribute("lang", language.code);
    this.notify("");
    const address = this.api;
    if (!address) this.notify(this.language.texts.missingApi);
    if (!address || !this.#getToken) return;
    this.client = new Api(address, this.#getToken);
    this.#body.replaceChildren(...this.draw());
    this.#resume();
  }

  /** Loads again: the user may be another one. */
  #resume() {
    this.#turn += 1;
    this.#halted = false;
    this.#body.classList.remove("halted");
    this.loaded = false;
    this.notify("");
    this.#poll.start();
  }

  /** What the element shows before it has loaded. @returns {Node[]} */
  draw() {
    return [];
  }

  /** Whether the element needs data now. */
  get wants() {
    return true;
  }

  /** Whether a card out of sight is followed too. */
  get follows() {
    return false;
  }

  /** Loads what the element needs. @returns {Promise<() => void>} shows it */
  async load() {
    return () => {};
  }

  /** Loads what may have changed elsewhere. @returns {Promise<() => void>} shows it */
  async reload() {
    return () => {};
  }

  // Reading

  #wanted() {
    if (this.#halted) return [];
    if (!this.loaded) return this.wants ? [LOAD] : [];
    const active = [...this.cards.values()].filter((each) => each.visible && isActive(each.shown));
    return [...(this.#missed ? [LIST] : []), ...active.map((each) => each.shown.id)];
  }

  /** Reads now what is missing. */
  refresh() {
    this.#poll.now();
  }

  /** @param {string} id @returns {Promise<number>} */
  async #read(id) {
    const turn = this.#turn;
    try {
      if (id === LOAD || id === LIST) {
        const show = await (id === LOAD ? this.load() : this.reload());
        if (turn !== this.#turn) return 0;
        show();
        this.loaded = true;
        this.#missed = false;
        this.#listed = Date.now();
        this.notify("");
        return 0;
      }
      const { body, pause } = await this.client.export(id);
      if (turn !== this.#turn) return 0;
      this.notify("");
      this.show(body);
      return pause;
    } catch (error) {
      if (turn !== this.#turn) return 0;
      if (error instanceof Refused && error.status === UNKNOWN && id !== LOAD) this.forget(id);
      else this.explain(error);
      if (id === LOAD && error instanceof Refused && error.status < 500 && error.status !== THROTTLED)
        this.#halted = true;
      this.#body.classList.toggle("halted", this.#halted && !this.loaded);
      return error instanceof Refused ? error.pause : 0;
    }
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    let news = false;
    for (const { target, isIntersecting } of entries) {
      const card = [...this.cards.values()].find((each) => each.element === target);
      if (!card) continue;
      news ||= isIntersecting && !card.visible && isActive(card.shown);
      card.visible = isIntersecting || this.follows;
    }
    if (news) this.#poll.soon();
  }

  // Showing

  /** Shows an export that is new or has changed. @param {Export} shown @returns {Card} */
  show(shown) {
    const known = this.cards.get(shown.id);
    if (known) {
      const before = known.shown;
      known.update(shown);
      if (before.status !== shown.status) this.#said.textContent = known.announcement;
      if (isActive(before) && !isActive(shown)) {
        this.tell("export-ended", shown);
        this.updateLimits();
      }
      return known;
    }
    const report = this.reports.find((each) => each.id === shown.report);
    const card = new Card(shown, report, this.language, (action, of) => this.#act(action, of));
    this.cards.set(shown.id, card);
    this.#watched.observe(card.element);
    return card;
  }

  /** Takes an export away that does not exist any more. @param {string} id */
  forget(id) {
    const card = this.cards.get(id);
    if (!card) return;
    this.cards.delete(id);
    this.#watched.unobserve(card.element);
  }

  /** Says something above everything else. @param {import("./texts.js").Said} said @param {...Node} more */
  notify(said, ...more) {
    const text = make("span", {}, said);
    if (!more.length && this.notice.textContent === text.textContent) return; // a screen reader would repeat it
    this.notice.hidden = !said;
    this.notice.replaceChildren(...(said ? [text, ...more] : []));
  }

  /** Says what has failed. @param {unknown} error */
  explain(error) {
    const { texts } = this.language;
    if (error instanceof SignInRequired) {
      this.#halted = true;
      this.#poll.stop();
      this.notify(
        texts.signInRequired,
        button(texts.signIn, "primary", () => this.tell("sign-in-required")),
      );
      this.tell("sign-in-required");
    } else if (error instanceof Unreachable) this.notify(texts.unreachable);
    else if (error instanceof Refused) this.notify(this.language.problem(error));
    else {
      console.error(error);
      this.notify(texts.unexpected);
    }
  }

  /** @param {string} name @param {Export} [detail] */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail: detail ?? null }));
  }

  async updateLimits() {
    const limits = await this.client.limits().catch(() => null); // they only warn: the next answer has them
    if (limits) this.form?.limit(limits);
  }

  // Acting

  /** The form of some reports. @param {Report[]} reports @param {(requested: Export) => void} requested */
  makeForm(reports, requested) {
    return new Form(this.language, reports, async (body, key) => {
      try {
        const accepted = await this.client.request(body, key);
        this.notify("");
        this.tell("export-requested", accepted);
        requested(accepted);
        this.#said.textContent = this.cards.get(accepted.id)?.announcement ?? "";
        this.#poll.soon();
        await this.updateLimits();
      } catch (error) {
        if (error instanceof SignInRequired) this.explain(error);
        throw error;
      }
    });
  }

  /** @param {Action} action @param {Card} card */
  async #act(action, card) {
    const { id } = card.shown;
    const { texts } = this.language;
    if (action === "remove" && !(await this.#isSure())) return;
    card.busy = true;
    card.say();
    try {
      if (action === "download") navigate(await this.client.file(id));
      if (action === "cancel") this.show(await this.client.cancel(id));
      if (action === "retry") {
        this.show(await this.client.retry(id));
        this.#poll.soon();
        await this.updateLimits();
      }
      if (action === "remove") {
        await this.client.remove(id);
        this.forget(id);
      }
    } catch (error) {
      if (error instanceof Refused && error.status === UNKNOWN) this.forget(id);
      else if (error instanceof Refused) {
        card.say(this.language.problem(error));
        await this.#read(id); // it has another state than the user saw: ended meanwhile, or expired
      } else if (error instanceof Unreachable) card.say(texts.unreachable);
      else this.explain(error);
    } finally {
      card.busy = false;
    }
  }

  /** Asks before an export is deleted. @returns {Promise<boolean>} */
  #isSure() {
    const { texts } = this.language;
    return new Promise((answer) => {
      const dialog = this.#dialog;
      dialog.returnValue = "";
      const close = (/** @type {string} */ value) => () => dialog.close(value);
      dialog.replaceChildren(
        make("h2", { id: "sure" }, texts.confirmRemove),
        make("p", {}, texts.removedForGood),
        make(
          "div",
          { class: "actions" },
          button(texts.remove, "danger", close("yes")),
          button(texts.keep, "quiet", close(""), { autofocus: true }),
        ),
      );
      dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
      dialog.showModal();
    });
  }

  /** The reports of the attribute `report`: one, or all. */
  get chosen() {
    const one = this.report;
    const found = this.reports.filter((each) => !one || each.id === one);
    const { texts } = this.language;
    if (!found.length) {
      const known = this.reports.map((each) => each.id).join(", ");
      throw new Refused(UNKNOWN, { title: one ? texts.noSuchReport(one, known) : texts.noReports }, 0);
    }
    return found;
  }
}

/** A page of exports: the form, and the list with live states. */
class ReportExports extends Exports {
  #panel = make("div", { class: "panel", part: "panel" });
  #heading = make("h2");
  #list = make("ul", { part: "list" });
  #absent = make("p", { class: "absent", role: "alert" });
  #empty = make("p", { class: "empty", part: "empty" });
  #listHeading = make("h2", { tabindex: "-1" });
  #more = button("", "quiet", () => this.#loadMore(), { class: "quiet more", hidden: true });
  /** @type {string | null} */
  #cursor = null;

  draw() {
    const { texts } = this.language;
    this.#panel.replaceChildren(make("p", { class: "help loading" }, texts.loading));
    this.#heading.textContent = texts.newExport;
    this.#listHeading.textContent = texts.yourExports;
    this.#empty.textContent = texts.loading;
    this.#more.textContent = texts.more;
    this.#list.replaceChildren();
    return [
      make("section", { part: "new" }, this.#heading, this.#panel),
      make("section", { part: "exports" }, this.#listHeading, this.#absent, this.#empty, this.#list, this.#more),
    ];
  }

  async load() {
    const id = this.export;
    const [reports, limits, page, first] = await Promise.all([
      this.client.reports(),
      this.client.limits(),
      this.client.page(null),
      id ? this.client.export(id).catch(absent) : null,
    ]);
    return () => {
      const same = JSON.stringify(reports) === JSON.stringify(this.reports);
      this.reports = reports;
      if (!this.form || !same) {
        const chosen = this.chosen;
        this.form = this.makeForm(chosen, (requested) => this.#add(requested, true).focus());
        if (chosen.length === 1) this.#heading.textContent = chosen[0].title;
        this.#panel.replaceChildren(this.form.element);
      }
      this.form.limit(limits);
      for (const known of [...this.cards.keys()]) this.forget(known);
      if (first) {
        const card = this.#add(first.body);
        card.element.classList.add("first");
        card.focus();
      }
      this.#addPage(page);
      this.#absent.textContent = id && !first ? this.language.texts.noSuchExport : "";
    };
  }

  async reload() {
    const known = [...this.cards.values()];
    const page = await this.client.page(null);
    return () => {
      const listed = new Map(page.exports.map((each) => [each.id, each]));
      // Ids sort by age. What is older than the page's last export may still be there.
      const last = page.cursor ? (page.exports.at(-1)?.id ?? "~") : "";
      for (const card of known) {
        const { id } = card.shown;
        const now = listed.get(id);
        listed.delete(id);
        if (isActive(card.shown) && (!now || isActive(now))) continue; // it is polled, with its progress
        if (now) this.show(now);
        else if (id > last) this.forget(id);
      }
      const one = this.report;
      for (const each of listed.values()) if (!one || each.report === one) this.#add(each);
      if (listed.size) this.updateLimits();
    };
  }

  async #loadMore() {
    try {
      const before = this.#list.lastElementChild;
      this.#addPage(await this.client.page(this.#cursor));
      if (this.#more.hidden)
        /** @type {HTMLElement | null} */ (before?.nextElementSibling?.querySelector("h3"))?.focus();
    } catch (error) {
      this.explain(error);
    }
  }

  /** @param {{exports: Export[], cursor: string | null}} page */
  #addPage(page) {
    const one = this.report;
    for (const each of page.exports) if (!this.cards.has(each.id) && (!one || each.report === one)) this.#add(each);
    this.#cursor = page.cursor;
    this.#more.hidden = !page.cursor;
    this.#count();
  }

  /** Puts an export before the first that is older. @param {Export} shown @param {boolean} [atTop] */
  #add(shown, atTop = false) {
    const card = this.cards.get(shown.id) ?? this.show(shown);
    const items = [...this.#list.children];
    const next = atTop ? items[0] : items.find((each) => each.id < shown.id && !each.querySelector(".first"));
    this.#list.insertBefore(make("li", { id: shown.id }, card.element), next ?? null);
    this.#count();
    return card;
  }

  #count() {
    this.#empty.hidden = this.#list.children.length > 0;
    this.#empty.textContent = this.language.texts.none;
  }

  /** @param {string} id */
  forget(id) {
    const item = this.cards.get(id)?.element.closest("li");
    super.forget(id);
    const next = item?.nextElementSibling ?? item?.previousElementSibling;
    const focused = item?.contains(this.shadowRoot?.activeElement ?? null);
    item?.remove();
    this.#count();
    if (!focused) return;
    /** @type {HTMLElement | null | undefined} */
    const heading = next?.querySelector("h3");
    (heading ?? this.#listHeading).focus();
  }
}

/** One button. Its dialog has the form, and then the export. */
class ExportButton extends Exports {
  #dialog = make("dialog", { part: "dialog", "aria-labelledby": "title" });
  #title = make("h2", { id: "title" });
  #content = make("div");
  #slot = make("slot");
  #state = make("span", { class: "help", part: "state" });

  draw() {
    const { texts } = this.language;
    this.#slot.textContent = texts.export;
    this.#title.textContent = texts.newExport;
    const open = make(
      "button",
      {
        type: "button",
        class: "primary",
        part: "button button-primary open",
        "aria-haspopup": "dialog",
        click: () => this.#open(),
      },
      this.#slot,
    );
    const close = button(texts.close, "quiet", () => this.#dialog.close());
    // What is wrong must be seen in the dialog: the page behind it is inert.
    this.#dialog.replaceChildren(make("header", {}, this.#title, close), this.notice, this.#content);
    this.#content.replaceChildren(make("p", { class: "help loading" }, texts.loading));
    return [open, this.#state, this.#dialog];
  }

  get wants() {
    return this.#dialog.open || Boolean(this.export);
  }

  /** The state stands beside the button while the dialog is closed. */
  get follows() {
    return true;
  }

  #open() {
    this.#dialog.showModal();
    this.refresh();
  }

  async load() {
    const id = this.export;
    const [reports, limits, first] = await Promise.all([
      this.client.reports(),
      this.client.limits(),
      id ? this.client.export(id).catch(absent) : null,
    ]);
    return () => {
      this.reports = reports;
      const chosen = this.chosen;
      if (chosen.length === 1) this.#title.textContent = chosen[0].title;
      this.form = this.makeForm(chosen, (requested) => this.#follow(requested).focus());
      this.form.limit(limits);
      if (first) this.#follow(first.body);
      else this.#content.replaceChildren(this.form.element);
    };
  }

  /** @param {Export} shown */
  #follow(shown) {
    const card = this.show(shown);
    const again = button(this.language.texts.another, "quiet", () => this.forget(shown.id), { class: "quiet more" });
    this.#content.replaceChildren(card.element, again);
    return card;
  }

  /** @param {Export} shown */
  show(shown) {
    const card = super.show(shown);
    this.#state.textContent = ` ${card.announcement}`;
    return card;
  }

  /** @param {string} id */
  forget(id) {
    super.forget(id);
    this.#state.textContent = "";
    if (!this.form) return;
    this.#content.replaceChildren(this.form.element);
    this.form.element.querySelector("input")?.focus();
  }
}

/** An export that does not exist is none; any other failure is a failure. @param {unknown} error @returns {null} */
function absent(error) {
  if (error instanceof Refused && error.status === UNKNOWN) return null;
  throw error;
}

/** Goes to the signed address, which answers with a file to save: the page stays. @param {string} address */
function navigate(address) {
  const { protocol, href } = new URL(address);
  if (protocol !== "https:" && protocol !== "http:") throw new Error(`The API sent an address of ${protocol}`);
  location.assign(href);
}

customElements.define("report-exports", ReportExports);
customElements.define("export-button", ExportButton);
