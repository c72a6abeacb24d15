/**
 * The fields for the columns and the order of a file. The form loads this module when the user opens this part.
 *
 * @import { Report } from "./types.js"
 * @typedef {import("./texts.js").Language} Language
 * @typedef {import("./texts.js").Said} Said
 * @typedef {import("./field.js").Field} Field
 * @typedef {Pick<Field, "name" | "pointer" | "element" | "read" | "show" | "focus">} Entry one value of the request
 */

import { button, make } from "./dom.js";

const CSS = `
summary ~ .field { margin-top: 1rem; }
.columns { gap: 0.25rem; max-height: 20rem; overflow: auto; margin-top: 0.5rem; }
.columns li, .key { display: flex; gap: 0.5rem; align-items: center; }
.columns .check { flex: 1; min-width: 0; overflow-wrap: anywhere; }
.key { flex-wrap: wrap; margin-bottom: 0.5rem; }
.key .label { flex: 0 0 6rem; margin: 0; }
.key select { flex: 1 1 10rem; width: auto; min-width: 0; }
`;
const sheet = new CSSStyleSheet();
sheet.replaceSync(CSS);

const MOST_KEYS = 16; // of a request's `sort`

const en = {
  columnsHelp: "The file has these columns, in this order.",
  all: "Select all",
  none: "Select none",
  noColumn: "Select at least one column.",
  up: /** @param {string} column */ (column) => `Move ${column} up`,
  down: /** @param {string} column */ (column) => `Move ${column} down`,
  moved: /** @param {string} column @param {string} at @param {string} of */ (column, at, of) =>
    `${column}: ${at} of ${of}`,
  sortBy: "Sort by",
  thenBy: "Then by",
  ownOrder: "The report’s own order",
  nothing: "Nothing",
  direction: /** @param {string} column */ (column) => `Direction of ${column}`,
  ascending: "Ascending",
  descending: "Descending",
};

/** @typedef {typeof en} ChoiceTexts */

/**
 * Adds the fields `columns` and `sort` of a request.
 *
 * @param {Report} report @param {Language} language @param {HTMLElement} details @returns {Entry[]}
 */
export function choices(report, language, details) {
  const { adoptedStyleSheets } = /** @type {ShadowRoot} */ (details.getRootNode());
  if (!adoptedStyleSheets.includes(sheet)) adoptedStyleSheets.push(sheet);
  const made = [new Columns(report, language), ...(report.sortable.length ? [new Order(report, language)] : [])];
  details.append(...made.map((each) => each.element));
  return made;
}

/** What both have: a legend, and a place for what is wrong. */
class Choice {
  #fault;
  /** @type {HTMLElement} */
  element;
  /** @type {HTMLElement[]} the first one gets the focus */
  controls = [];

  /** @param {string} name @param {string} title @param {Language} language */
  constructor(name, title, language) {
    this.name = name;
    this.pointer = `/${name}`;
    this.language = language;
    this.texts = /** @type {ChoiceTexts} */ (language.texts.choosing ?? en);
    this.#fault = make("p", { class: "fault", part: "fault", id: `${name}-fault`, hidden: true });
    this.element = make(
      "fieldset",
      { class: "field", part: "field", "aria-describedby": this.#fault.id, input: () => this.show() },
      make("legend", { class: "label", part: "label" }, title),
      this.#fault,
    );
  }

  /** @param {...Said} said */
  show(...said) {
    this.#fault.replaceChildren(...said);
    this.#fault.hidden = !said.length;
    if (said.length) this.controls[0].setAttribute("aria-invalid", "true");
    else this.controls[0].removeAttribute("aria-invalid");
  }

  focus() {
    this.controls[0].focus();
  }
}

/** A list of check boxes that move. @implements {Entry} */
class Columns extends Choice {
  #names;
  #list = make("ul", { class: "columns" });
  #said = make("p", { class: "said", role: "status" });

  /** @param {Report} report @param {Language} language */
  constructor(report, language) {
    super("columns", language.texts.columns, language);
    const { texts } = this;
    this.#names = report.columns.map((each) => each.name);
    this.#list.append(...report.columns.map((each) => this.#row(each)));
    this.element.append(
      make("p", { class: "help" }, texts.columnsHelp),
      make(
        "div",
        { class: "actions" },
        button(texts.all, "quiet", () => this.#select(true)),
        button(texts.none, "quiet", () => this.#select(false)),
      ),
      this.#list,
      this.#said,
    );
  }

  /** @param {{name: string, title: string}} column */
  #row({ name, title }) {
    const { texts } = this;
    const box = make("input", { type: "checkbox", part: "control", value: name, checked: true });
    this.controls.push(box);
    const row = make("li", {}, make("label", { class: "check" }, box, make("span", {}, title)));
    /** @param {(other: Element) => void} put @param {Element | null} other */
    const move = (put, other) => {
      if (other) put.call(row, other); // the neighbour, because an element that moves loses the focus
      row.scrollIntoView({ block: "nearest" });
      const rows = [...this.#list.children];
      const [at, of] = [rows.indexOf(row) + 1, rows.length].map((each) => this.language.number(each));
      this.#said.textContent = texts.moved(title, at, of);
    };
    row.append(
      button("↑", "quiet", () => move(row.after, row.previousElementSibling), { "aria-label": texts.up(title) }),
      button("↓", "quiet", () => move(row.before, row.nextElementSibling), { "aria-label": texts.down(title) }),
    );
    return row;
  }

  /** @param {boolean} all */
  #select(all) {
    for (const each of this.#boxes) each.checked = all;
    this.show();
  }

  get #boxes() {
    return [...this.#list.querySelectorAll("input")];
  }

  /** The names of the chosen columns; undefined for the report's own, which may change until the export is made. */
  read() {
    const chosen = this.#boxes.filter((each) => each.checked).map((each) => each.value);
    if (!chosen.length) this.show(this.texts.noColumn);
    else this.show();
    const same = chosen.length === this.#names.length && chosen.every((each, at) => each === this.#names[at]);
    return { value: same || !chosen.length ? undefined : chosen, wrong: !chosen.length };
  }
}

/** Sort keys, the most significant first; there is always a row for one more. @implements {Entry} */
class Order extends Choice {
  #columns;
  #rows = make("div", { class: "keys" });

  /** @param {Report} report @param {Language} language */
  constructor(report, language) {
    super("sort", language.texts.order, language);
    this.#columns = report.sortable.map((name) => ({
      name,
      title: report.columns.find((each) => each.name === name)?.title ?? name,
    }));
    this.element.append(this.#rows);
    this.#grow();
  }

  #grow() {
    const { texts } = this;
    const at = this.#rows.children.length;
    if (at === Math.min(this.#columns.length, MOST_KEYS)) return;
    const id = `sort-${at}`;
    const label = at ? texts.thenBy : texts.sortBy;
    const column = make(
      "select",
      { id, part: "control" },
      make("option", { value: "" }, at ? texts.nothing : texts.ownOrder),
      ...this.#columns.map(({ name, title }) => make("option", { value: name }, title)),
    );
    const direction = make(
      "select",
      { part: "control", hidden: true },
      make("option", { value: "" }, texts.ascending),
      make("option", { value: "descending" }, texts.descending),
    );
    column.addEventListener("change", () => {
      direction.hidden = !column.value;
      direction.setAttribute("aria-label", texts.direction(column.selectedOptions[0].text));
      if (column.value && column === this.controls.at(-1)) this.#grow();
    });
    this.controls.push(column);
    this.#rows.append(
      make(
        "div",
        { class: "key" },
        make("label", { for: id, class: "label", part: "label" }, label),
        column,
        direction,
      ),
    );
  }

  /** The keys of `sort`. Rows without a column, and a column's second key, change nothing. */
  read() {
    this.show();
    /** @type {Map<string, boolean>} */
    const keys = new Map();
    for (const row of this.#rows.children) {
      const [column, direction] = row.querySelectorAll("select");
      if (column.value && !keys.has(column.value)) keys.set(column.value, Boolean(direction.value));
    }
    const value = [...keys].map(([column, descending]) => ({ column, descending }));
    return { value: value.length ? value : undefined, wrong: false };
  }
}
