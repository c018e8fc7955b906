/**
 * What the page shows of an analysis: the boxes on the picture, the expression, the bars, the model's card.
 *
 * @typedef {import("./worker.js").FaceReading} FaceReading
 * @typedef {import("./model_files.js").Card} Card
 */

import { placeLabels } from "./labels.js";

const LABEL_HEIGHT = 22; // pixels, as in style.css
const LABEL_PADDING = 14; // both sides together
const NUMBER_GAP = 5; // between number and name
const FROM_THE_RIGHT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/; // Hebrew, Arabic and their neighbours

/** Boxes on the picture: one button a face, so that a keyboard or a screen reader can choose one. */
export class FaceBoxes {
  #container;
  #onChoose;
  #layOut = () => {};
  #measure = document.createElement("canvas").getContext("2d");

  /**
   * @param {HTMLElement} container
   * @param {(index: number) => void} onChoose
   */
  constructor(container, onChoose) {
    this.#container = container;
    this.#onChoose = onChoose;
    new ResizeObserver(() => this.#layOut()).observe(container);
  }

  /**
   * @param {FaceReading[]} faces in the order of their numbers
   * @param {{width: number, height: number}} picture
   * @param {{chosen: number, isMirrored: boolean, labels: string[]}} options
   */
  show(faces, picture, { chosen, isMirrored, labels }) {
    const buttons = this.#buttons(faces.length);
    const names = faces.map((face) => nameOf(face, labels));
    faces.forEach((_, index) => {
      const button = buttons[index];
      const [number, name] = partsOf(button);
      setAttribute(button, "aria-pressed", String(index === chosen));
      setText(number, faces.length > 1 ? String(index + 1) : "");
      setText(name, names[index]);
      setAttribute(button, "aria-label", `Face ${index + 1} of ${faces.length}: ${names[index]}`);
    });
    this.#layOut = () => {
      const stage = { width: this.#container.clientWidth, height: this.#container.clientHeight };
      const [xScale, yScale] = [stage.width / picture.width, stage.height / picture.height];
      const boxes = faces.map(({ box }) => ({
        x: (isMirrored ? picture.width - box.x - box.width : box.x) * xScale,
        y: box.y * yScale,
        width: box.width * xScale,
        height: box.height * yScale,
      }));
      const places = placeLabels(boxes, this.#sizes(names, stage.width), stage, chosen);
      boxes.forEach((box, index) => {
        place(buttons[index], box);
        const label = /** @type {HTMLElement} */ (buttons[index].firstElementChild);
        const { left, top, width, height, isShort } = places[index];
        place(label, { x: left - box.x, y: top - box.y, width, height });
        label.classList.toggle("is-short", isShort);
      });
    };
    this.#layOut();
  }

  /** No faces, and none to lay out. */
  clear() {
    this.#layOut = () => {};
    this.#container.replaceChildren();
  }

  /**
   * @param {string[]} names
   * @param {number} most width in pixels
   */
  #sizes(names, most) {
    const context = /** @type {CanvasRenderingContext2D} */ (this.#measure);
    const { fontFamily } = getComputedStyle(this.#container);
    context.font = `600 13px ${fontFamily}`; // as in style.css
    return labelSizes(context, names, { most, height: LABEL_HEIGHT, padding: LABEL_PADDING, gap: NUMBER_GAP });
  }

  /** @param {number} count */
  #buttons(count) {
    while (this.#container.childElementCount > count) this.#container.lastElementChild?.remove();
    while (this.#container.childElementCount < count) {
      const index = this.#container.childElementCount;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "face";
      button.append(newLabel());
      button.addEventListener("click", () => this.#onChoose(index));
      this.#container.append(button);
    }
    return /** @type {HTMLElement[]} */ (Array.from(this.#container.children));
  }
}

/** The faces once more below the picture, where there are several: some have room for a number alone in it. */
export class FaceList {
  #list;
  #onChoose;

  /**
   * @param {HTMLElement} list hidden from screen readers and the Tab key, which have the boxes
   * @param {(index: number) => void} onChoose
   */
  constructor(list, onChoose) {
    this.#list = list;
    this.#onChoose = onChoose;
  }

  /**
   * @param {FaceReading[]} faces in the order of their numbers
   * @param {{chosen: number, labels: string[]}} options
   */
  show(faces, { chosen, labels }) {
    const count = faces.length > 1 ? faces.length : 0;
    this.#list.hidden = count === 0;
    while (this.#list.childElementCount > count) this.#list.lastElementChild?.remove();
    while (this.#list.childElementCount < count) {
      const index = this.#list.childElementCount;
      const row = document.createElement("li");
      row.append(...newLabel().children);
      row.addEventListener("click", () => this.#onChoose(index));
      this.#list.append(row);
    }
    Array.from(this.#list.children).forEach((row, index) => {
      row.classList.toggle("is-chosen", index === chosen);
      setText(/** @type {HTMLElement} */ (row.children[0]), String(index + 1));
      setText(/** @type {HTMLElement} */ (row.children[1]), nameOf(faces[index], labels));
    });
  }
}

/**
 * Widths of labels with a name and with a number alone, for ``placeLabels``.
 * @param {CanvasRenderingContext2D} context whose font is theirs
 * @param {string[]} names
 * @param {{most: number, height: number, padding: number, gap: number}} options `most`: no label is wider
 */
export function labelSizes(context, names, { most, height, padding, gap }) {
  const isOne = names.length === 1;
  const width = (/** @type {string} */ text) => Math.ceil(context.measureText(text).width) + 1;
  const short = names.map((name, index) => Math.min(most, width(isOne ? name : String(index + 1)) + padding));
  const full = names.map((name, index) => Math.min(most, isOne ? short[index] : short[index] + gap + width(name)));
  return { full, short, height };
}

/**
 * @param {FaceReading} face
 * @param {string[]} labels
 */
export function nameOf({ probabilities }, labels) {
  const best = indexOfLargest(probabilities);
  return `${isolated(labels[best])} ${Math.round(probabilities[best] * 100)} %`;
}

/**
 * A label that is read from the right, kept from taking the number beside it along: "5 % 91 label".
 * @param {string} label
 */
function isolated(label) {
  return FROM_THE_RIGHT.test(label) ? `\u2068${label}\u2069` : label;
}

function newLabel() {
  const [label, number, name] = ["span", "span", "span"].map((tag) => document.createElement(tag));
  label.className = "label";
  number.className = "number";
  name.className = "name";
  label.append(number, name);
  return label;
}

/** @param {HTMLElement} button */
function partsOf(button) {
  return /** @type {HTMLElement[]} */ (Array.from(button.children[0].children));
}

/**
 * @param {HTMLElement} element
 * @param {import("./detector.js").Box} box
 */
function place(element, { x, y, width, height }) {
  element.style.left = `${x.toFixed(2)}px`;
  element.style.top = `${y.toFixed(2)}px`;
  element.style.width = `${width.toFixed(2)}px`;
  element.style.height = `${height.toFixed(2)}px`;
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
