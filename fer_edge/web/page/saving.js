/**
 * What the visitor takes along: the picture with its faces marked, and the readings as JSON. Both are made here, in the
 * browser, and go to the visitor's own downloads.
 *
 * @typedef {import("./worker.js").Analysis} Analysis
 */

import { judge } from "./certainty.js";
import { placeLabels } from "./labels.js";
import { indexOfLargest, labelSizes, nameOf } from "./views.js";

const LANDMARKS = ["right_eye", "left_eye", "nose_tip", "mouth_right", "mouth_left"]; // as Python calls them
const FONT = "system-ui, sans-serif";
const CHOSEN = { ground: "#ffd23f", ink: "#1d1a05" };
const OTHER = { ground: "#0b100e", ink: "#ffffff" };
const PIXELS_PER_LINE = 60; // of the picture's longer side, for a line of text

/**
 * The picture with boxes and names; faces that have room for a number alone are listed below it.
 * @param {CanvasImageSource} source as large as the analysis says
 * @param {Analysis} analysis its faces in the order of their numbers
 * @param {{chosen: number, labels: string[]}} options
 * @returns {Promise<Blob>} PNG
 */
export async function markedPicture(source, { width, height, faces, cropReason }, { chosen, labels }) {
  const isCrop = cropReason !== null;
  const line = Math.max(13, Math.round(Math.max(width, height) / PIXELS_PER_LINE));
  const names = faces.map((face) => nameOf(face, labels));
  const canvas = document.createElement("canvas");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const size = { height: Math.round(1.7 * line), padding: line, gap: Math.round(0.4 * line) };
  context.font = `600 ${line}px ${FONT}`;
  const wide = Math.max(width, isCrop ? 12 * line : 0); // a crop may be smaller than its name
  const sizes = labelSizes(context, names, { ...size, most: wide });
  const places = isCrop ? [] : placeLabels(faces.map(({ box }) => box), sizes, { width, height }, chosen);
  const isListed = isCrop || places.some(({ isShort }) => isShort && faces.length > 1);
  const rows = isListed ? listRows(sizes.full, wide, size.gap) : [];
  canvas.width = wide;
  canvas.height = height + rows.length * (size.height + size.gap) + (rows.length ? size.gap : 0);

  context.font = `600 ${line}px ${FONT}`; // a canvas forgets it with its size
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, width, height);
  const paint = (/** @type {number} */ index, /** @type {import("./labels.js").Label} */ label) =>
    paintLabel(context, label, index, faces.length, names[index], index === chosen, size);
  if (!isCrop) {
    faces.forEach(({ box }, index) => paintBox(context, box, index === chosen, line));
    places.forEach((label, index) => paint(index, label));
  }
  rows.forEach((row, at) => {
    const top = height + size.gap + at * (size.height + size.gap);
    for (const { index, left } of row) {
      paint(index, { left, top, width: sizes.full[index], height: size.height, isShort: false });
    }
  });
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser could not write the picture.")))),
  );
}

/**
 * What `predict --json` prints, for one image.
 * @param {Analysis} analysis its faces in the order of their numbers
 * @param {{
 *   source: string, model: string, provider: string, labels: string[],
 *   uncertainty: import("./certainty.js").Uncertainty | null,
 * }} options
 */
export function readingsAsJson(analysis, { source, model, provider, labels, uncertainty }) {
  const { width, height, faces, cropReason, detectMs, expressionMs } = analysis;
  const wasSearched = cropReason !== "small";
  const results = faces.map(({ probabilities, ...face }) => ({
    source,
    label: labels[indexOfLargest(probabilities)],
    confidence: Math.max(...probabilities),
    probabilities: Object.fromEntries(labels.map((label, index) => [label, probabilities[index]])),
    latency_ms: rounded(expressionMs, 4),
    ...certaintyOf(judge(probabilities, labels, uncertainty)),
    ...(isFound(face) ? placeOf(face) : { box: null, landmarks: null, detection_score: null }),
  }));
  const image = { source, width, height, was_searched: wasSearched, crop_reason: cropReason, num_faces: faces.length };
  const images = [{ ...image, detection_ms: wasSearched ? rounded(detectMs, 4) : 0 }];
  return `${JSON.stringify({ model, provider, results, images, errors: [] }, undefined, 2)}\n`;
}

/** @param {import("./certainty.js").Judgement | null} judgement */
function certaintyOf(judgement) {
  return {
    is_certain: judgement?.isCertain ?? null,
    candidates: judgement?.candidates ?? null,
    calibrated_confidence: judgement?.calibratedConfidence ?? null,
    quality: null, // not computed here
  };
}

/**
 * Whether a face was found by the detector, rather than a picture taken for one.
 * @param {import("./detector.js").Face} face
 */
function isFound({ landmarks }) {
  return landmarks.length > 0;
}

/** @param {import("./detector.js").Face} face */
function placeOf({ box, landmarks, score }) {
  const sides = Object.entries(box).map(([side, value]) => [side, rounded(value, 2)]);
  const points = LANDMARKS.map((name, at) => [name, landmarks[at].map((value) => rounded(value, 2))]);
  return { box: Object.fromEntries(sides), landmarks: Object.fromEntries(points), detection_score: rounded(score, 4) };
}

/**
 * Hand a file to the visitor's downloads.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it only after the visitor agreed
}

/**
 * Labels one after the other, in as many rows as they need.
 * @param {number[]} widths
 * @param {number} most
 * @param {number} gap
 */
function listRows(widths, most, gap) {
  /** @type {{index: number, left: number}[][]} */
  const rows = [[]];
  let left = gap;
  widths.forEach((width, index) => {
    if (left > gap && left + width > most) {
      rows.push([]);
      left = gap;
    }
    rows[rows.length - 1].push({ index, left });
    left += width + gap;
  });
  return rows;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./detector.js").Box} box
 * @param {boolean} isChosen
 * @param {number} line
 */
function paintBox(context, box, isChosen, line) {
  for (const [width, colour] of /** @type {const} */ ([[0.28, "rgb(0 0 0 / 60%)"], [0.14, isChosen ? CHOSEN.ground : "#ffffff"]])) {
    context.lineWidth = width * line;
    context.strokeStyle = colour;
    context.strokeRect(box.x, box.y, box.width, box.height);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./labels.js").Label} label
 * @param {number} index
 * @param {number} count of all faces
 * @param {string} name
 * @param {boolean} isChosen
 * @param {{padding: number}} size
 */
function paintLabel(context, { left, top, width, height, isShort }, index, count, name, isChosen, { padding }) {
  const { ground, ink } = isChosen ? CHOSEN : OTHER;
  const number = count > 1 ? String(index + 1) : "";
  const text = isShort && number ? number : `${number} ${name}`.trim();
  context.fillStyle = ground;
  context.beginPath();
  context.roundRect(left, top, width, height, height / 4);
  context.fill();
  context.fillStyle = ink;
  context.textBaseline = "middle";
  context.fillText(text, left + padding / 2, top + height / 2, width - padding / 2);
}

/**
 * @param {number} value
 * @param {number} digits
 */
function rounded(value, digits) {
  return Number(value.toFixed(digits));
}
