/**
 * Cuts faces out of a picture and names their expressions. The model takes the pixels as they are.
 *
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./detector.js").Box} Box
 */

import { reduced } from "./picture.js";

const CHANNELS = 4;

/**
 * The square around a face that the model is shown: the rule of fer_edge/runtime/crops.py, which says it in words.
 * @param {Picture} picture
 * @param {Box} box
 * @param {{margin: number, maxCropSide: number}} framing `margin`: side of the square over the box's longer side
 * @returns {Picture}
 */
export function crop(picture, box, framing) {
  const side = Math.max(1, Math.floor(framing.margin * Math.max(box.width, box.height) + 0.5));
  if (side > framing.maxCropSide) {
    const factor = Math.ceil(side / framing.maxCropSide);
    const shrunk = { x: box.x / factor, y: box.y / factor, width: box.width / factor, height: box.height / factor };
    return crop(reduced(picture, factor), shrunk, framing);
  }
  const left = Math.floor(box.x + box.width / 2 - side / 2 + 0.5);
  const top = Math.floor(box.y + box.height / 2 - side / 2 + 0.5);
  const data = new Uint8Array(side * side * CHANNELS);
  for (let y = 0; y < side; y++) {
    const row = clamped(top + y, picture.height) * picture.width;
    for (let x = 0; x < side; x++) {
      const from = CHANNELS * (row + clamped(left + x, picture.width));
      const to = CHANNELS * (y * side + x);
      for (let channel = 0; channel < CHANNELS; channel++) data[to + channel] = picture.data[from + channel];
    }
  }
  return { data, width: side, height: side };
}

/**
 * Beyond the border the outermost pixel is repeated.
 * @param {number} at
 * @param {number} size
 */
function clamped(at, size) {
  return Math.min(size - 1, Math.max(0, at));
}

/**
 * Probabilities of the classes, in the order of the model's labels.
 * @param {typeof import("onnxruntime-web")} ort
 * @param {import("onnxruntime-web").InferenceSession} session
 * @param {string} inputName
 * @param {Picture} face
 * @returns {Promise<number[]>}
 */
export async function classify(ort, session, inputName, face) {
  const bytes = face.data instanceof Uint8Array ? face.data : new Uint8Array(face.data.buffer);
  const image = new ort.Tensor("uint8", bytes, [1, face.height, face.width, CHANNELS]);
  const outputs = await session.run({ [inputName]: image }, ["probabilities"]);
  return Array.from(/** @type {Float32Array} */ (outputs.probabilities.data));
}
