/**
 * Every text that the elements show, in each language. Titles and descriptions of reports, and explanations of errors,
 * come from the API.
 */

const en = {
  newExport: "New export",
  export: "Export",
  report: "Report",
  format: "Format",
  options: "More options",
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
  allowed: /** @param {string} what */ (what) => `Allowed: ${what}.`,
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
};

/** @typedef {typeof en} Texts */

/** @type {Texts} */
const de = {
  newExport: "Neuer Export",
  export: "Exportieren",
  report: "Bericht",
  format: "Format",
  options: "Weitere Optionen",
  request: "Export anfordern",
  requesting: "Wird angefordert …",
  yourExports: "Ihre Exporte",
  none: "Sie haben noch keine Exporte. Fordern Sie einen an, dann erscheint er hier.",
  noReports: "Es gibt keine Berichte, die Sie exportieren können.",
  more: "Mehr anzeigen",
  loading: "Wird geladen …",
  any: "Beliebig",
  yes: "Ja",
  no: "Nein",
  optional: "optional",
  onePerLine: "Ein Wert je Zeile.",
  download: "Herunterladen",
  cancel: "Abbrechen",
  retry: "Erneut versuchen",
  remove: "Löschen",
  keep: "Behalten",
  close: "Schließen",
  another: "Neuer Export",
  signIn: "Anmelden",
  confirmRemove: "Diesen Export löschen?",
  removedForGood: "Der Export und seine Datei werden endgültig gelöscht.",
  signInRequired: "Ihre Sitzung ist beendet. Melden Sie sich erneut an.",
  unreachable: "Keine Verbindung. Die Seite versucht es von selbst erneut.",
  notSent:
    "Die Anforderung ist nicht angekommen. Versuchen Sie es erneut, sobald Sie verbunden sind: Es bleibt ein Export.",
  noSuchExport: "Diesen Export gibt es nicht mehr, oder er gehört jemand anderem.",
  unexpected: "Etwas ist schiefgegangen. Laden Sie die Seite neu.",
  missingApi: "Das Attribut api fehlt. Setzen Sie es auf die Adresse der API.",
  correct: "Berichtigen Sie die markierten Felder.",
  allowed: (what) => `Erlaubt: ${what}.`,
  noSuchReport: (id, ids) => `Den Bericht „${id}“ gibt es nicht. Es gibt: ${ids}.`,
  tooMany: (limit) =>
    `${limit} Exporte warten oder laufen, mehr sind nicht erlaubt. Warten Sie, bis einer beendet ist.`,
  left: (left, limit) => `Sie können jetzt noch ${left} starten (von ${limit} zugleich).`,
  rules: (rows, days) => `Ein Export liest bis zu ${rows} Zeilen. Seine Datei wird ${days} Tage aufbewahrt.`,
  parts: (done, total) => `${done} von ${total} Teilen`,
  progress: (report) => `Fortschritt von ${report}`,
  rows: (count, one) => `${count} ${one ? "Zeile" : "Zeilen"}`,
  expires: (when) => `läuft ${when} ab`,
  requested: (when) => `Angefordert ${when}`,
  announced: (report, status) => `${report}: ${status}`,
  status: {
    QUEUED: "Wartet",
    RUNNING: "Läuft",
    SUCCEEDED: "Fertig",
    FAILED: "Fehlgeschlagen",
    CANCELLED: "Abgebrochen",
    EXPIRED: "Abgelaufen",
  },
  fault: {
    required: "Füllen Sie dieses Feld aus.",
    date: "Geben Sie ein vollständiges Datum ein.",
    number: "Geben Sie eine Zahl ein.",
    integer: "Geben Sie eine ganze Zahl ein.",
    pattern: "Das hat nicht die erwartete Form.",
    minimum: (limit) => `Geben Sie ${limit} oder mehr ein.`,
    maximum: (limit) => `Geben Sie ${limit} oder weniger ein.`,
    items: (limit) => `Geben Sie höchstens ${limit} Werte ein.`,
    length: (limit) => `Geben Sie höchstens ${limit} Zeichen ein.`,
  },
  formats: en.formats,
  choices: { ",": "Komma (,)", ";": "Semikolon (;)", "\t": "Tabulator", "|": "Senkrechter Strich (|)" },
  named: {
    spreadsheet_safe: [
      "Sicher in Tabellenprogrammen",
      "Setzt ein Hochkomma vor Text, den ein Tabellenprogramm als Formel ausführen könnte.",
    ],
    bom: ["Byte-Reihenfolge-Markierung", "Excel braucht sie, um UTF-8 und UTF-16 zu erkennen."],
    delimiter: ["Trennzeichen", "Trennt die Felder einer Zeile."],
    header_style: ["Spaltenköpfe", "title: Titel für Menschen; name: Namen für Programme; none: keine."],
    timezone: ["Zeitzone", "Name in der IANA-Datenbank, zum Beispiel Europe/Berlin."],
    decimal_comma: ["Dezimalkomma", "Schreibt Zahlen mit Komma. Braucht ein anderes Trennzeichen als das Komma."],
    line_ending: ["Zeilenende", "lf oder crlf."],
    encoding: ["Zeichenkodierung", "Der Export schlägt fehl, wenn windows-1252 ein Zeichen nicht hat."],
    file_name: ["Dateiname", "Ohne Angabe besteht er aus Bericht und Datum."],
    notify: [
      "Benachrichtigung per E-Mail",
      "Sie erhalten eine E-Mail, wenn die Datei fertig oder der Export fehlgeschlagen ist.",
    ],
  },
};

const LANGUAGES = { en, de };
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const SPANS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** The texts of a language, and numbers, sizes and times as its readers write them. */
export class Language {
  /** @param {string} tag such as `de-CH`; English for a language without texts */
  constructor(tag) {
    let known = "en";
    try {
      known = Intl.getCanonicalLocales(tag)[0] ?? "en";
    } catch {
      // The attribute lang of a page may hold anything.
    }
    this.tag = known;
    /** @type {Texts} */
    this.texts = LANGUAGES[/** @type {"en" | "de"} */ (known.split("-")[0])] ?? en;
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
