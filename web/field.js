/**
 * One field of a form, drawn from the JSON Schema of a parameter or an option.
 *
 * @import { Schema } from "./types.js"
 * @typedef {import("./texts.js").Language} Language
 */

import { make } from "./dom.js";

/** A value that the schema does not allow; the message is for the user. */
class Wrong extends Error {}

const SAFE = Number.MAX_SAFE_INTEGER; // beyond it a browser rounds whole numbers

export class Field {
  /** @type {HTMLElement} */
  element;
  /** @type {() => unknown} */
  #read;
  /** @type {HTMLElement} */
  #control;
  #error;

  /**
   * @param {string} name of the parameter or option @param {string} pointer JSON Pointer of it in the request's body
   * @param {Schema} schema @param {boolean} required @param {Language} language
   * @param {unknown} [value] shown at first; without it, the schema's default
   */
  constructor(name, pointer, schema, required, language, value = schema.default) {
    this.name = name;
    this.pointer = pointer;
    const { texts } = language;
    const id = pointer.replaceAll("/", "-");
    const known = pointer.startsWith("/options/") ? texts.named[name] : undefined;
    const title = known?.[0] ?? String(schema.title ?? name);
    const lines = schema.type === "array" && !schema.items?.enum;
    const help = [known?.[1] ?? schema.description, lines && texts.onePerLine].filter(Boolean).join(" ");
    this.#error = make("p", { class: "fault", part: "fault", id: `${id}-fault`, hidden: true });
    const described = [help && `${id}-help`, `${id}-fault`].filter(Boolean).join(" ");
    const common = { id, part: "control", "aria-describedby": described };
    const note = required ? null : make("span", { class: "note" }, ` ${texts.optional}`);
    const label = make(
      "label",
      { for: id, class: "label", part: "label" },
      title,
      pointer.startsWith("/parameters/") && note,
    );
    const below = [help && make("p", { class: "help", id: `${id}-help` }, help), this.#error];

    if (schema.type === "array" && schema.items?.enum) {
      const boxes = schema.items.enum.map((/** @type {unknown} */ each) => {
        const box = make("input", { type: "checkbox", part: "control" });
        box.checked = Array.isArray(value) && value.includes(each);
        return box;
      });
      this.#control = boxes[0];
      this.#read = () =>
        schema.items.enum.filter((/** @type {unknown} */ _, /** @type {number} */ at) => boxes[at].checked);
      const legend = make("legend", { class: "label", part: "label" }, title, note);
      const choices = boxes.map((/** @type {Node} */ box, /** @type {number} */ at) =>
        make("label", { class: "check" }, box, make("span", {}, language.value(schema.items.enum[at]))),
      );
      this.element = make(
        "fieldset",
        { "aria-describedby": described },
        legend,
        make("div", { class: "choices" }, ...choices),
        ...below,
      );
    } else if (
      schema.enum ||
      (schema.type === "boolean" && pointer.startsWith("/parameters/") && value === undefined)
    ) {
      const values = schema.enum ?? [true, false];
      const select = make("select", { ...common, required });
      if (!required || value === undefined) select.append(make("option", { value: "" }, required ? "" : texts.any));
      for (const [at, each] of values.entries()) {
        const text = texts.choices[/** @type {keyof typeof texts.choices} */ (each)] ?? language.value(each);
        select.append(make("option", { value: String(at), selected: each === value }, text));
      }
      this.#control = select;
      this.#read = () => (select.value === "" ? undefined : values[Number(select.value)]);
      this.element = make("div", {}, label, select, ...below);
    } else if (schema.type === "boolean") {
      const box = make("input", { ...common, type: "checkbox" });
      box.checked = Boolean(value);
      this.#control = box;
      this.#read = () => box.checked;
      this.element = make(
        "div",
        {},
        make("div", { class: "check" }, box, make("label", { for: id, part: "label" }, title)),
        ...below,
      );
    } else if (lines) {
      const area = make("textarea", { ...common, rows: "3", required, spellcheck: "false" });
      area.value = Array.isArray(value) ? value.join("\n") : "";
      this.#control = area;
      this.#read = () =>
        area.value
          .split("\n")
          .map((line) => line.trim())
          .filter(Boolean)
          .map((line) => one(line, schema.items ?? {}, language));
      this.element = make("div", { class: "wide" }, label, area, ...below);
    } else {
      const input = make("input", {
        ...common,
        ...kind(schema),
        required,
        maxlength: schema.maxLength,
        autocomplete: "off",
      });
      input.value = value === undefined ? "" : String(value);
      this.#control = input;
      this.#read = () => {
        if (input.validity.badInput) throw new Wrong(schema.format === "date" ? texts.fault.date : texts.fault.number);
        return input.value.trim() === "" ? undefined : one(input.value, schema, language);
      };
      this.element = make("div", {}, label, input, ...below);
    }
    this.element.classList.add("field");
    this.element.part.add("field");
    this.required = required;
    this.schema = schema;
    this.language = language;
    this.element.addEventListener("input", () => this.show());
  }

  /** The value, and undefined without one. A value that is not allowed is marked, and `wrong` is true. */
  read() {
    const { fault } = this.language.texts;
    try {
      const value = this.#read();
      const none = value === undefined || (Array.isArray(value) && !value.length);
      if (none && this.required) throw new Wrong(fault.required);
      if (Array.isArray(value) && value.length > (this.schema.maxItems ?? Infinity))
        throw new Wrong(fault.items(this.language.number(this.schema.maxItems)));
      this.show();
      return { value: none ? undefined : value, wrong: false };
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      this.show(error.message);
      return { value: undefined, wrong: true };
    }
  }

  /** Marks the field. @param {...import("./texts.js").Said} fault what is wrong; empty: nothing */
  show(...fault) {
    this.#error.replaceChildren(...fault);
    this.#error.hidden = !fault.length;
    if (fault.length) this.#control.setAttribute("aria-invalid", "true");
    else this.#control.removeAttribute("aria-invalid");
  }

  focus() {
    this.#control.focus();
  }
}

/** @param {Schema} schema the attributes of an input */
function kind(schema) {
  if (schema.format === "date") return { type: "date" };
  // Not type="number": a mouse wheel changes it, and screen readers read its spin buttons.
  if (schema.type === "integer") return { type: "text", inputmode: schema.minimum >= 0 ? "numeric" : "text" };
  if (schema.type === "number") return { type: "text", inputmode: schema.minimum >= 0 ? "decimal" : "text" };
  return { type: "text" };
}

/** @param {string} text @param {Schema} schema @param {Language} language */
function one(text, schema, language) {
  const { fault } = language.texts;
  if (schema.type === "integer" || schema.type === "number") {
    const value = Number(text);
    if (!Number.isFinite(value)) throw new Wrong(fault.number);
    if (schema.type === "integer" && !Number.isInteger(value)) throw new Wrong(fault.integer);
    const whole = schema.type === "integer" ? SAFE : Infinity;
    const [low, high] = [Math.max(schema.minimum ?? -Infinity, -whole), Math.min(schema.maximum ?? Infinity, whole)];
    if (value < low) throw new Wrong(fault.minimum(language.number(low)));
    if (value > high) throw new Wrong(fault.maximum(language.number(high)));
    return value;
  }
  if (schema.enum && !schema.enum.includes(text)) throw new Wrong(fault.pattern);
  if (text.length > (schema.maxLength ?? Infinity)) throw new Wrong(fault.length(language.number(schema.maxLength)));
  if (schema.pattern && !matches(text, schema.pattern)) throw new Wrong(fault.pattern);
  return text;
}

/** Whether a text has the pattern. The API decides about a pattern that a browser cannot read. */
function matches(/** @type {string} */ text, /** @type {string} */ pattern) {
  try {
    return new RegExp(pattern, "u").test(text);
  } catch {
    return true;
  }
}
