/** Reads active exports again and again, as seldom as a user does not notice. */

const FIRST = 2; // seconds
const LONGEST = 15;
const SLOWER = 1.4; // factor by which the pause grows

export class Poll {
  #ids;
  #read;
  #back;
  #pause = FIRST;
  #timer = 0;
  #busy = false;
  #stopped = true;

  /**
   * @param {() => string[]} ids of the exports to read now
   * @param {(id: string) => Promise<number>} read reads one; the seconds for which the API wants no other call
   * @param {() => void} back hears that the tab was hidden, or without a network, and may have missed something
   */
  constructor(ids, read, back) {
    this.#ids = ids;
    this.#read = read;
    this.#back = back;
  }

  start() {
    this.#stopped = false;
    document.addEventListener("visibilitychange", this);
    window.addEventListener("online", this);
    this.now();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this);
    window.removeEventListener("online", this);
  }

  /** Starts with the short pause again: an export is new, or has come into view. */
  soon() {
    this.#pause = FIRST;
    this.#wait(FIRST);
  }

  now() {
    this.#pause = FIRST;
    this.#wait(0);
  }

  /** The tab is shown or hidden, or the network is back. */
  handleEvent() {
    if (!document.hidden) this.#back();
    this.now();
  }

  /** @param {number} seconds */
  #wait(seconds) {
    clearTimeout(this.#timer);
    if (!this.#stopped && !document.hidden) this.#timer = setTimeout(() => this.#round(), seconds * 1000);
  }

  async #round() {
    if (this.#busy) return;
    this.#busy = true;
    const ids = this.#ids();
    let pause = this.#pause;
    try {
      for (const id of ids) pause = Math.max(pause, await this.#read(id));
    } finally {
      this.#busy = false;
    }
    this.#pause = Math.min(this.#pause * SLOWER, LONGEST);
    if (ids.length) this.#wait(pause);
  }
}
