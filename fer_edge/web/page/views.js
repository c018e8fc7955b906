/**
 * What the page shows of an analysis: the boxes on the picture, the verdict, the bars, the model's card.
 *
 * @typedef {import("./worker.js").FaceReading} FaceReading
 * @typedef {import("./model_files.js").Card} Card
 */

/** Boxes on the picture: one button a face, so that a keyboard or a screen reader can choose one. */
export class FaceBoxes {
  #container;
  #onChoose;

  /**
   * @param {HTMLElement} container
   * @param {(index: number) => void} onChoose
   */
  constructor(container, onChoose) {
    this.#container = container;
    this.#onChoose = onChoose;
  }

  /**
   * @param {FaceReading[]} faces
   * @param {{width: number, height: number}} picture
   * @param {{chosen: number, isMirrored: boolean, labels: string[]}} options
   */
  show(faces, picture, { chosen, isMirrored, labels }) {
    const buttons = this.#buttons(faces.length);
    faces.forEach(({ box, probabilities }, index) => {
      const best = indexOfLargest(probabilities);
      const left = isMirrored ? picture.width - box.x - box.width : box.x;
      const button = buttons[index];
      button.style.left = percent(left / picture.width);
      button.style.top = percent(box.y / picture.height);
      button.style.width = percent(box.width / picture.width);
      button.style.height = percent(box.height / picture.height);
      button.classList.toggle("is-low", box.y < picture.height * 0.1); // no room above for the name
      setAttribute(button, "aria-pressed", String(index === chosen));
      const name = `${labels[best]} ${Math.round(probabilities[best] * 100)} %`;
      setText(/** @type {HTMLElement} */ (button.firstElementChild), name);
      setAttribute(button, "aria-label", `Face ${index + 1} of ${faces.length}: ${name}`);
    });
  }

  /** @param {number} count */
  #buttons(count) {
    while (this.#container.childElementCount > count) this.#container.lastElementChild?.remove();
    while (this.#container.childElementCount < count) {
      const index = this.#container.childElementCount;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "face";
      button.append(document.createElement("span"));
      button.addEventListener("click", () => this.#onChoose(index));
      this.#container.append(button);
    }
    return /** @type {HTMLElement[]} */ (Array.from(this.#container.children));
  }
}

/** A bar for each class, each with its label and percentage as text. */
export class Bars {
  /** @type {{row: HTMLElement, fill: HTMLElement, value: HTMLElement}[]} */
  #rows;

  /**
   * @param {HTMLElement} list
   * @param {string[]} labels
   */
  constructor(list, labels) {
    this.#rows = labels.map((label) => {
      const row = document.createElement("li");
      const [name, track, fill, value] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
      name.textContent = label;
      name.className = "name";
      name.dir = "auto"; // labels may be of any script
      track.className = "track";
      track.setAttribute("aria-hidden", "true");
      fill.className = "fill";
      value.className = "value";
      value.textContent = "–";
      track.append(fill);
      row.append(name, track, value);
      return { row, fill, value };
    });
    list.replaceChildren(...this.#rows.map(({ row }) => row));
  }

  /** @param {number[] | undefined} probabilities undefined: no face */
  show(probabilities) {
    const best = probabilities ? indexOfLargest(probabilities) : -1;
    this.#rows.forEach(({ row, fill, value }, index) => {
      const share = probabilities?.[index] ?? 0;
      fill.style.transform = `translateX(${(share - 1) * 100}%)`;
      row.classList.toggle("is-best", index === best);
      setText(value, probabilities ? `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %` : "–");
    });
  }
}

/**
 * What the model says about itself, as rows.
 * @param {HTMLElement} list a dl
 * @param {import("./worker.js").Ready} ready
 */
export function showCard(list, { card, provider, bytes }) {
  const accuracy = card.metrics?.validation?.accuracy;
  const rows = [
    ["Name", card.name],
    ["Runs on", provider === "webgpu" ? "WebGPU" : "WebAssembly, one thread"],
    ["Precision and size", `${card.precision}, ${megabytes(bytes)}`],
    ["Network", card.architecture],
    ["Trained on", card.training_data.source],
    ["Accuracy", typeof accuracy === "number" ? `${(accuracy * 100).toFixed(1)} % of validation faces` : "not measured"],
    ["SHA-256, checked", card.file_sha256],
    ["Limits", card.limits],
  ];
  list.replaceChildren(
    ...rows.flatMap(([term, text]) => {
      const [name, value] = [document.createElement("dt"), document.createElement("dd")];
      name.textContent = term;
      value.textContent = text;
      return [name, value];
    }),
  );
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {number[]} values */
export function indexOfLargest(values) {
  return values.indexOf(Math.max(...values));
}

/**
 * Writes only what changes: a camera calls this many times a second, and screen readers notice every write.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {string} value
 */
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(3)}%`;
}
