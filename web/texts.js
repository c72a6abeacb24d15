/**
 * Every text that the elements show, in English. Another language is a module with the same texts, such as texts-de.js,
 * which MODULES names. Titles and descriptions of reports come from the API, in one language. Its problems, faults and
 * explanations of failures are English: a module may translate them.
 *
 * @typedef {import("./api.js").Refused} Refused
 * @import { Fault } from "./types.js"
 * @typedef {Node | string} Said
 */

import { make } from "./dom.js";

const en = {
  newExport: "New export",
  export: "Export",
  report: "Report",
  format: "Format",
  options: "More options",
  choose: "Columns and order",
  columns: "Columns",
  order: "Order",
  descending: "descending",
  request: "Request export",
  requesting: "Requesting…",
  yourExports: "Your exports",
  none: "You have no exports yet. Request one, and it appears here.",
  noReports: "There are no reports to export.",
  more: "Show more",
  loading: "Loading…",
  any: "Any",
  yes: "Yes",
  no: "No",
  optional: "optional",
  onePerLine: "One value per line.",
  download: "Download",
  cancel: "Cancel",
  retry: "Try again",
  remove: "Delete",
  keep: "Keep",
  close: "Close",
  another: "New export",
  signIn: "Sign in",
  confirmRemove: "Delete this export?",
  removedForGood: "The export and its file are removed for good.",
  signInRequired: "Your session has ended. Sign in again to continue.",
  unreachable: "There is no connection. The page tries again by itself.",
  notSent: "The request did not arrive. Check your connection and try again: it remains one export.",
  noSuchExport: "This export does not exist any more, or belongs to somebody else.",
  unexpected: "Something went wrong. Reload the page.",
  missingApi: "The attribute api is missing. Set it to the address of the API.",
  correct: "Correct the marked fields.",
  allowed: "Allowed:",
  noSuchReport: /** @param {string} id @param {string} ids */ (id, ids) =>
    `There is no report “${id}”. There are: ${ids}.`,
  tooMany: /** @param {string} limit */ (limit) =>
    `${limit} exports are queued or running, and no more are allowed. Wait until one has ended.`,
  left: /** @param {string} left @param {string} limit */ (left, limit) =>
    `You can start ${left} more now (of ${limit} at a time).`,
  rules: /** @param {string} rows @param {string} days */ (rows, days) =>
    `An export reads up to ${rows} rows. Its file is kept for ${days} days.`,
  parts: /** @param {string} done @param {string} total */ (done, total) => `${done} of ${total} parts`,
  progress: /** @param {string} report */ (report) => `Progress of ${report}`,
  rows: /** @param {string} count @param {boolean} one */ (count, one) => `${count} ${one ? "row" : "rows"}`,
  expires: /** @param {string} when */ (when) => `expires ${when}`,
  requested: /** @param {string} when */ (when) => `Requested ${when}`,
  announced: /** @param {string} report @param {string} status */ (report, status) => `${report}: ${status}`,
  status: {
    QUEUED: "Queued",
    RUNNING: "Running",
    SUCCEEDED: "Ready",
    FAILED: "Failed",
    CANCELLED: "Cancelled",
    EXPIRED: "Expired",
  },
  fault: {
    required: "Fill in this field.",
    date: "Enter a complete date.",
    number: "Enter a number.",
    integer: "Enter a whole number.",
    pattern: "This does not have the expected form.",
    minimum: /** @param {string} limit */ (limit) => `Enter ${limit} or more.`,
    maximum: /** @param {string} limit */ (limit) => `Enter ${limit} or less.`,
    items: /** @param {string} limit */ (limit) => `Enter at most ${limit} values.`,
    length: /** @param {string} limit */ (limit) => `Enter at most ${limit} characters.`,
  },
  formats: {
    csv: "CSV",
    "csv.gz": "CSV (gzip)",
    jsonl: "JSON Lines",
    "jsonl.gz": "JSON Lines (gzip)",
    parquet: "Parquet",
    xlsx: "Excel",
  },
  choices: { ",": "Comma (,)", ";": "Semicolon (;)", "\t": "Tab", "|": "Bar (|)" },
  /** @type {Record<string, [string, string]>} title and help of options that are the same everywhere */
  named: {},
  /** @type {import("./choices.js").ChoiceTexts | undefined} */
  choosing: undefined,
  /** @type {Record<string, string>} what users read about a problem, by its name in docs/problems.md */
  problems: {},
  /** @type {Record<string, [string, string]>} title and remedy of a failed export or a warning, by its type */
  failures: {},
  /** @type {[RegExp, string][]} what the API says about one fault, and what users read */
  faults: [],
};

/** @typedef {typeof en} Texts */

/** @type {Record<string, () => Promise<{texts: Texts}>>} other languages; a page loads only its own */
const MODULES = { de: () => import("./texts-de.js") };
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const SPANS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** The texts of a language, and numbers, sizes and times as its readers write them. */
export class Language {
  /** @param {string} [tag] such as `de-CH` @param {Texts} [texts] */
  constructor(tag = "en", texts = en) {
    this.tag = tag;
    this.texts = texts;
  }

  /** The language of a tag; with English texts if it has none, or if they cannot be loaded. @param {string} tag */
  static async load(tag) {
    let known = "en";
    try {
      known = Intl.getCanonicalLocales(tag)[0] ?? "en";
    } catch {
      // The attribute lang of a page may hold anything.
    }
    const loaded = await MODULES[known.split("-")[0]]?.().catch(() => undefined);
    return new Language(known, loaded?.texts);
  }

  /** The language of the texts. */
  get code() {
    return this.texts === en ? "en" : this.tag;
  }

  /** What the API says, in English: marked, so that a screen reader reads it as English. @param {string} text */
  english(text) {
    return this.code === "en" ? text : make("span", { lang: "en" }, text);
  }

  /** Why a call was refused. A problem without a type is the page's own. @param {Refused} refused @returns {Said} */
  problem({ type, text }) {
    return this.texts.problems[type] ?? (type ? this.english(text) : text);
  }

  /** What is wrong with a value. @param {Fault} fault @returns {Said[]} */
  fault({ detail, allowed }) {
    return [this.#said(sentence(detail)), ` ${this.texts.allowed} `, this.#said(`${allowed}.`)];
  }

  /** @param {string} text */
  #said(text) {
    const [pattern, said] = this.texts.faults.find(([each]) => each.test(text)) ?? [];
    return pattern && said ? text.replace(pattern, said) : this.english(text);
  }

  /** Title and remedy of a failure or a warning. @param {{type: string, title: string, remedy: string}} failure */
  failure({ type, title, remedy }) {
    return this.texts.failures[type] ?? [title, remedy].map((each) => this.english(each));
  }

  /** @param {number} value */
  number(value) {
    return new Intl.NumberFormat(this.tag).format(value);
  }

  /** A large number in words, such as 1 billion. @param {number} value */
  about(value) {
    return new Intl.NumberFormat(this.tag, { notation: "compact", compactDisplay: "long" }).format(value);
  }

  /** @param {number} bytes */
  size(bytes) {
    const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
    const style = /** @type {const} */ ({ style: "unit", maximumFractionDigits: 1 });
    const unitDisplay = power ? "short" : "long"; // 310 bytes, but 3.1 kB
    return new Intl.NumberFormat(this.tag, { ...style, unitDisplay, unit: UNITS[power] }).format(bytes / 1000 ** power);
  }

  /** @param {string} stamp */
  time(stamp) {
    return new Intl.DateTimeFormat(this.tag, { dateStyle: "medium", timeStyle: "short" }).format(new Date(stamp));
  }

  /** How far a time is from now, in whole days, hours or minutes. @param {string} stamp */
  distance(stamp) {
    const ms = Date.parse(stamp) - Date.now();
    const [unit, length] = SPANS.find((each) => Math.abs(ms) >= each[1]) ?? ["minute", 60_000];
    return new Intl.RelativeTimeFormat(this.tag, { numeric: "auto" }).format(Math.trunc(ms / length), unit);
  }

  /** A parameter's value; dates as the reader writes them. @param {unknown} value @returns {string} */
  value(value) {
    if (Array.isArray(value)) return value.map((each) => this.value(each)).join(", ");
    if (typeof value === "number") return this.number(value);
    if (typeof value === "boolean") return value ? this.texts.yes : this.texts.no;
    const text = String(value);
    if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(Date.parse(text))) return text;
    return new Intl.DateTimeFormat(this.tag, { dateStyle: "medium", timeZone: "UTC" }).format(new Date(text));
  }
}

/** A text as a sentence: problems' titles and details may lack the full stop. @param {string} text */
export function sentence(text) {
  const trimmed = text.trim();
  return trimmed && `${trimmed[0].toUpperCase()}${trimmed.slice(1)}${/[.!?]$/.test(trimmed) ? "" : "."}`;
}
