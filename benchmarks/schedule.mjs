/**
 * Prints as JSON when a page that shows one active export calls the API: [[seconds, "load" or "export"], …].
 *
 * It runs web/poll.js with a clock of its own, and does what web/report-exports.js does with it.
 *
 * node schedule.mjs SECONDS PAUSE shown|hidden: how long, and the Retry-After of an active export.
 */
import { readFile } from "node:fs/promises";

const [seconds, pause, visibility] = process.argv.slice(2);
let now = 0;
/** @type {Map<number, {at: number, act: () => void}>} */
const timers = new Map();
let timer = 0;
const settle = () => new Promise((resolve) => setImmediate(resolve));

const page = { hidden: visibility === "hidden", addEventListener() {}, removeEventListener() {} };
Object.assign(globalThis, {
  document: page,
  window: page,
  setTimeout: (/** @type {() => void} */ act, /** @type {number} */ ms) => {
    timers.set(++timer, { at: now + ms, act });
    return timer;
  },
  clearTimeout: (/** @type {number} */ id) => timers.delete(id),
});

// As a data URL, because older releases of Node take a .js file for CommonJS.
const source = await readFile(new URL("../web/poll.js", import.meta.url), "utf-8");
const { Poll } = await import(`data:text/javascript,${encodeURIComponent(source)}`);

/** @type {[number, string][]} */
const calls = [];
let loaded = false;
let seen = false;
const poll = new Poll(
  () => [loaded ? "export" : "load"],
  async (what) => {
    calls.push([now / 1000, what]);
    if (what === "export") return Number(pause);
    loaded = true;
    return 0;
  },
);
poll.start();
for (;;) {
  await settle();
  if (loaded && !seen) {
    seen = true;
    poll.soon(); // the card of the active export has come into view
  }
  const [id, next] = [...timers].sort(([, one], [, two]) => one.at - two.at)[0] ?? [0, null];
  if (!next || next.at > Number(seconds) * 1000) break;
  timers.delete(id);
  now = next.at;
  next.act();
}
console.log(JSON.stringify(calls));
