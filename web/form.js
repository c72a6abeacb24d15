/**
 * The form that requests an export: report, parameters, format, options, columns, order.
 *
 * @import { Report, Body } from "./types.js"
 * @typedef {import("./choices.js").Entry} Entry
 * @typedef {import("./texts.js").Language} Language
 * @typedef {import("./texts.js").Said} Said
 */

import { newKey, Refused, Unreachable } from "./api.js";
import { make } from "./dom.js";
import { Field } from "./field.js";

export class Form {
  #language;
  #reports;
  #report;
  #send;
  /** @type {Field[]} */
  #parameters = [];
  /** @type {Field[]} */
  #options = [];
  /** @type {Entry[]} columns and order, once the user has opened them */
  #choices = [];
  /** @type {Map<string, unknown>} options that the user has set, kept when the format changes */
  #kept = new Map();
  /** @type {{of: string, key: string}} the Idempotency-Key of a body that the API has not accepted yet */
  #key = { of: "", key: "" };
  #busy = false;
  #parts;

  /**
   * @param {Language} language @param {Report[]} reports at least one
   * @param {(body: Body, key: string) => Promise<void>} send requests the export
   */
  constructor(language, reports, send) {
    const { texts } = language;
    this.#language = language;
    this.#reports = reports;
    this.#report = reports[0];
    this.#send = send;
    const picker = make("select", { id: "report", part: "control", change: () => this.#pick(picker.selectedIndex) });
    for (const each of reports) picker.append(make("option", {}, each.title));
    this.#parts = {
      about: make("p", { class: "about", part: "description" }),
      parameters: make("div", { class: "fields" }),
      formats: make("div", { class: "formats" }),
      options: make("div", { class: "fields" }),
      choose: make("details", { part: "choices", toggle: () => this.#choose() }, make("summary", {}, texts.choose)),
      notify: make("div", {}),
      limits: make("p", { class: "help", part: "limits" }),
      fault: make("p", { class: "fault summary", part: "fault", role: "alert", tabindex: "-1", hidden: true }),
      submit: make("button", { type: "submit", class: "primary", part: "button button-primary submit" }, texts.request),
    };
    const { about, parameters, formats, options, choose, notify, limits, fault, submit } = this.#parts;
    const pick = make(
      "div",
      { class: "field", part: "field" },
      make("label", { for: "report", class: "label", part: "label" }, texts.report),
      picker,
    );
    this.element = make(
      "form",
      { part: "form", novalidate: true, submit: (/** @type {Event} */ event) => this.#submit(event) },
      reports.length > 1 && pick,
      about,
      parameters,
      make(
        "fieldset",
        { class: "field", part: "field" },
        make("legend", { class: "label", part: "label" }, texts.format),
        formats,
      ),
      make("details", { part: "options" }, make("summary", {}, texts.options), options),
      choose,
      notify,
      fault,
      make("div", { class: "foot" }, submit, limits),
    );
    this.#pick(0);
  }

  /** Says what the caller may still do. @param {import("./types.js").Limits} limits */
  limit(limits) {
    const { texts } = this.#language;
    const tightest =
      limits.active_exports.remaining <= limits.active_exports_of_tenant.remaining
        ? limits.active_exports
        : limits.active_exports_of_tenant;
    const [left, most] = [tightest.remaining, tightest.limit].map((each) => this.#language.number(each));
    const rows = this.#language.about(limits.rows_per_export);
    const days = this.#language.number(limits.retention_days);
    this.#parts.limits.classList.toggle("warning", !tightest.remaining);
    this.#parts.limits.textContent = tightest.remaining
      ? `${texts.left(left, most)} ${texts.rules(rows, days)}`
      : texts.tooMany(most);
  }

  /** @param {number} index of a report */
  #pick(index) {
    this.#report = this.#reports[index];
    const { about, parameters, formats, choose } = this.#parts;
    choose.replaceChildren(choose.children[0]);
    this.#choices = [];
    choose.open = false;
    about.textContent = this.#report.description;
    about.hidden = !this.#report.description;
    this.#parameters = this.#fields("/parameters", this.#report.parameters);
    parameters.replaceChildren(...this.#parameters.map((each) => each.element));
    const chosen = this.#format;
    const names = this.#report.formats.map((each) => each.name);
    formats.replaceChildren(
      ...names.map((name, at) => {
        const input = make("input", { type: "radio", name: "format", value: name, change: () => this.#draw() });
        input.checked = chosen && names.includes(chosen) ? name === chosen : at === 0;
        const texts = /** @type {Record<string, string>} */ (this.#language.texts.formats);
        return make("label", { class: "chip", part: "chip" }, input, make("span", {}, texts[name] ?? name));
      }),
    );
    this.#draw();
  }

  /** Loads what few users need. The form may be gone then. */
  async #choose() {
    const { choose } = this.#parts;
    const report = this.#report;
    if (!choose.open || this.#choices.length) return;
    this.#say();
    const module = await import("./choices.js").catch(() => this.#say(this.#language.texts.unexpected));
    if (report !== this.#report || this.#choices.length) return;
    if (module && choose.isConnected) this.#choices = module.choices(report, this.#language, choose);
    else choose.open = false;
  }

  get #entries() {
    return [...this.#parameters, ...this.#options, ...this.#choices];
  }

  get #format() {
    return this.#parts.formats.querySelector("input:checked")?.getAttribute("value");
  }

  /** Draws the options of the format. */
  #draw() {
    for (const each of this.#options) this.#kept.set(each.pointer, each.read().value);
    const schema = this.#report.formats.find((each) => each.name === this.#format)?.options ?? {};
    this.#options = this.#fields("/options", schema);
    const mail = this.#options.filter((each) => each.pointer === "/options/notify");
    this.#parts.notify.replaceChildren(...mail.map((each) => each.element));
    this.#parts.options.replaceChildren(
      ...this.#options.filter((each) => !mail.includes(each)).map((each) => each.element),
    );
  }

  /** @param {string} place @param {import("./types.js").Schema} schema */
  #fields(place, schema) {
    return Object.entries(schema.properties ?? {}).map(([name, each]) => {
      const pointer = `${place}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
      const kept = this.#kept.get(pointer);
      // An option that the format does not know, such as another format's header style, starts with its default.
      const allowed = kept !== undefined && (!each.enum || each.enum.includes(kept));
      return new Field(
        name,
        pointer,
        each,
        (schema.required ?? []).includes(name),
        this.#language,
        allowed ? kept : undefined,
      );
    });
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    if (this.#busy) return;
    const { texts } = this.#language;
    const [parameters, options, choices] = [this.#parameters, this.#options, this.#choices].map(values);
    const wrong = this.#entries.filter((each) => each.element.querySelector("[aria-invalid]"));
    this.#say(...(wrong.length ? [texts.correct] : []));
    if (wrong.length) return this.#point(wrong[0]);
    for (const each of this.#options) if (options[each.name] === each.schema.default) delete options[each.name];
    const body = { report: this.#report.id, format: this.#format ?? "", parameters, options, ...choices };
    const of = JSON.stringify(body);
    if (this.#key.of !== of) this.#key = { of, key: newKey() };
    this.#work(true);
    try {
      await this.#send(body, this.#key.key);
      this.#key = { of: "", key: "" };
    } catch (error) {
      if (error instanceof Refused) this.#refuse(error);
      else if (error instanceof Unreachable) this.#say(texts.notSent);
      else if (error instanceof Error && error.message) this.#say(texts.unexpected);
    } finally {
      this.#work(false);
    }
  }

  /** @param {boolean} busy */
  #work(busy) {
    const { submit } = this.#parts;
    this.#busy = busy;
    submit.textContent = busy ? this.#language.texts.requesting : this.#language.texts.request;
    // Not `disabled`, which would take the focus away.
    submit.setAttribute("aria-disabled", String(busy));
  }

  /** Shows the API's own faults beside their fields. @param {Refused} refused */
  #refuse(refused) {
    const fields = this.#entries;
    /** @type {Said[]} */
    const others = [];
    /** @type {Map<Entry, Said[]>} */
    const marked = new Map();
    for (const fault of refused.faults) {
      const { pointer } = fault;
      const field = fields.find((each) => pointer === each.pointer || pointer.startsWith(`${each.pointer}/`));
      const index = field && /^\d+$/.exec(pointer.slice(field.pointer.length + 1))?.[0];
      const said = [index ? `${Number(index) + 1}: ` : "", ...this.#language.fault(fault), " "];
      if (field) marked.set(field, [...(marked.get(field) ?? []), ...said]);
      else others.push(...said);
    }
    for (const [field, said] of marked) field.show(...said);
    const first = fields.find((each) => marked.has(each));
    if (first) {
      this.#say(this.#language.texts.correct, " ", ...others);
      this.#point(first);
    } else this.#say(...(others.length ? others : [this.#language.problem(refused)]));
  }

  /** @param {Entry} field */
  #point(field) {
    field.element.closest("details")?.setAttribute("open", "");
    field.focus();
  }

  /** @param {...Said} said nothing: nothing is wrong */
  #say(...said) {
    this.#parts.fault.replaceChildren(...said);
    this.#parts.fault.hidden = !said.length;
  }
}

/** @param {Entry[]} fields */
function values(fields) {
  /** @type {Record<string, unknown>} */
  const found = {};
  for (const each of fields) {
    const { value } = each.read();
    if (value !== undefined) found[each.name] = value;
  }
  return found;
}
