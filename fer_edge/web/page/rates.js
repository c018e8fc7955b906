/** How fast the camera is read: frames a second over the last two seconds. */

const WINDOW_MS = 2000;

export class FrameRate {
  /** @type {number[]} */
  #times = [];

  /** @param {number} now in ms */
  add(now) {
    this.#times.push(now);
    this.#times = this.#times.filter((time) => now - time <= WINDOW_MS);
  }

  /** Frames a second, or undefined before there are two. */
  get perSecond() {
    const [first, last] = [this.#times[0], this.#times.at(-1)];
    return last === undefined || last === first ? undefined : ((this.#times.length - 1) * 1000) / (last - first);
  }
}

/** The mean of many values, the newest of which count most: figures on the page that can be read. */
export class Steady {
  /** @type {number | undefined} */
  value;
  #share;

  /** @param {number} share of the newest value, 0-1 */
  constructor(share) {
    this.#share = share;
  }

  /** @param {number} next */
  add(next) {
    this.value = this.value === undefined ? next : this.value + this.#share * (next - this.value);
    return this.value;
  }
}
