/**
 * The page's side of the worker: asks it about pictures, and hears how its loading goes.
 *
 * @typedef {import("./worker.js").Analysis} Analysis
 * @typedef {import("./worker.js").Ready} Ready
 */

export class Engine {
  /** @type {Map<number, {resolve: (analysis: Analysis) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();
  #lastId = 0;
  #worker;

  /** @param {(loaded: number, total: number) => void} onProgress in bytes */
  constructor(onProgress) {
    this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    /** @type {Promise<Ready>} Settled once the models are open, or cannot be. */
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.ready) resolve(data.ready);
        else if (data.failed) reject(new Error(data.failed));
        else if (data.total) onProgress(data.loaded, data.total);
        else this.#settle(data);
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        const reason = event.message || "worker.js or a file that it needs did not load as JavaScript";
        reject(new Error(`expected a browser of 2023 or newer, and the host to send .js files as JavaScript: ${reason}`));
      };
    });
  }

  /**
   * @param {ImageBitmap} bitmap handed over: closed afterwards
   * @param {{live: boolean}} options `live`: a frame of the camera, for which speed counts more than small faces
   * @returns {Promise<Analysis>}
   */
  analyse(bitmap, { live }) {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, bitmap, live }, [bitmap]);
    });
  }

  /** @param {{id: number, analysis?: Analysis, error?: string}} answer */
  #settle({ id, analysis, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (analysis) waiting?.resolve(analysis);
    else waiting?.reject(new Error(error));
  }
}
