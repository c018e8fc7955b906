/** Tells screen readers what changed: at once for a photo; for a camera only what lasts, and not too often. */

const LASTING_MS = 1000;
const PAUSE_MS = 4000;

export class Announcer {
  #element;
  #said = "";
  #saidAt = -Infinity;
  #pending = "";
  #pendingSince = 0;

  /** @param {HTMLElement} element an aria-live region */
  constructor(element) {
    this.#element = element;
  }

  /** @param {string} text */
  say(text) {
    this.#element.textContent = this.#said = this.#pending = text;
    this.#saidAt = performance.now();
  }

  /**
   * Say it once it has been the same for a second, unless something was said a moment ago.
   * @param {string} text
   */
  sayIfItLasts(text) {
    const now = performance.now();
    if (text !== this.#pending) {
      this.#pending = text;
      this.#pendingSince = now;
    }
    const lasts = now - this.#pendingSince >= LASTING_MS;
    if (text !== this.#said && lasts && now - this.#saidAt >= PAUSE_MS) this.say(text);
  }
}
