/** Elements without HTML text: whatever the API sends becomes text, never markup. */

/**
 * Makes an element. `class`, `part` and all other names become attributes; a function becomes a listener; `true` sets
 * an attribute without a value; `false`, `null` and `undefined` leave it out.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [set] @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, set = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

/**
 * @param {string} text @param {"primary" | "quiet" | "danger"} kind @param {() => void} act
 * @param {Record<string, any>} [set]
 */
export function button(text, kind, act, set = {}) {
  return make("button", { type: "button", class: kind, part: `button button-${kind}`, click: act, ...set }, text);
}
