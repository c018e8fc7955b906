/**
 * Finds faces: YuNet with the rules of fer_edge/runtime/detector.py and yunet.py, which say what each number means.
 *
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {{x: number, y: number, width: number, height: number}} Box in pixels of the picture
 * @typedef {{box: Box, landmarks: [number, number][], score: number}} Face
 * @typedef {{minScore: number, maxOverlap: number, minSide: number}} Limits
 */

import { within } from "./picture.js";

const STRIDES = [8, 16, 32];
const CELL_MULTIPLE = 32;
const MAX_CANDIDATES = 5000;
const LANDMARKS = 5;

/**
 * The faces in a picture, the surest first.
 * @param {typeof import("onnxruntime-web")} ort
 * @param {import("onnxruntime-web").InferenceSession} session
 * @param {Picture} picture
 * @param {number} maxSide a larger picture is made smaller before it is searched, one below `minSide` larger
 * @param {Limits} limits
 * @returns {Promise<Face[]>}
 */
export async function detect(ort, session, picture, maxSide, limits) {
  const small = within(picture, limits.minSide, maxSide);
  const input = toInput(small);
  const outputs = await session.run({ input: new ort.Tensor("float32", input.data, [1, 3, input.height, input.width]) });
  const valuesOf = (/** @type {string} */ name) => /** @type {Float32Array} */ (outputs[name].data);
  const candidates = STRIDES.flatMap((stride) => decodeGrid(valuesOf, stride, input.width, limits.minScore));
  const [xScale, yScale] = [picture.width / small.width, picture.height / small.height];
  return suppress(candidates, limits.maxOverlap).map((face) => scaled(face, xScale, yScale));
}

/**
 * Planes of blue, green and red, 0-255, black to the right and below up to multiples of 32.
 * @param {Picture} picture
 */
export function toInput(picture) {
  const width = Math.ceil(picture.width / CELL_MULTIPLE) * CELL_MULTIPLE;
  const height = Math.ceil(picture.height / CELL_MULTIPLE) * CELL_MULTIPLE;
  const plane = width * height;
  const data = new Float32Array(3 * plane);
  for (let y = 0, from = 0; y < picture.height; y++) {
    for (let x = 0, to = y * width; x < picture.width; x++, to++, from += 4) {
      data[to] = picture.data[from + 2];
      data[to + plane] = picture.data[from + 1];
      data[to + 2 * plane] = picture.data[from];
    }
  }
  return { data, width, height };
}

/**
 * @param {(name: string) => Float32Array} valuesOf
 * @param {number} stride side of a cell in pixels
 * @param {number} width of the input
 * @param {number} minScore
 * @returns {Face[]}
 */
function decodeGrid(valuesOf, stride, width, minScore) {
  const [cls, obj] = [valuesOf(`cls_${stride}`), valuesOf(`obj_${stride}`)];
  const [boxes, points] = [valuesOf(`bbox_${stride}`), valuesOf(`kps_${stride}`)];
  const columns = width / stride;
  const faces = [];
  for (let cell = 0; cell < cls.length; cell++) {
    const score = Math.sqrt(clipped(cls[cell]) * clipped(obj[cell]));
    if (score < minScore) continue;
    const [row, column] = [Math.floor(cell / columns), cell % columns];
    const box = boxes.subarray(4 * cell, 4 * cell + 4);
    const [w, h] = [Math.exp(box[2]) * stride, Math.exp(box[3]) * stride];
    const place = { x: (column + box[0]) * stride - w / 2, y: (row + box[1]) * stride - h / 2, width: w, height: h };
    const landmarks = Array.from({ length: LANDMARKS }, (_, at) => {
      const point = 2 * (LANDMARKS * cell + at);
      return /** @type {[number, number]} */ ([(points[point] + column) * stride, (points[point + 1] + row) * stride]);
    });
    faces.push({ box: place, landmarks, score });
  }
  return faces;
}

/**
 * The best of each heap of candidates, best first: no two overlap by more than `maxOverlap`.
 * @param {Face[]} candidates
 * @param {number} maxOverlap
 */
export function suppress(candidates, maxOverlap) {
  const byScore = [...candidates].sort((one, other) => other.score - one.score).slice(0, MAX_CANDIDATES);
  /** @type {Face[]} */
  const kept = [];
  for (const face of byScore) {
    if (kept.every((better) => overlap(better.box, face.box) <= maxOverlap)) kept.push(face);
  }
  return kept;
}

/**
 * Area of the intersection over that of the union, 0-1.
 * @param {Box} one
 * @param {Box} other
 */
export function overlap(one, other) {
  const width = Math.min(one.x + one.width, other.x + other.width) - Math.max(one.x, other.x);
  const height = Math.min(one.y + one.height, other.y + other.height) - Math.max(one.y, other.y);
  const shared = Math.max(0, width) * Math.max(0, height);
  const union = one.width * one.height + other.width * other.height - shared;
  return union > 0 ? shared / union : 0;
}

/** @param {number} value */
function clipped(value) {
  return Math.min(1, Math.max(0, value));
}

/**
 * @param {Face} face
 * @param {number} xScale
 * @param {number} yScale
 * @returns {Face}
 */
function scaled({ box, landmarks, score }, xScale, yScale) {
  return {
    box: { x: box.x * xScale, y: box.y * yScale, width: box.width * xScale, height: box.height * yScale },
    landmarks: landmarks.map(([x, y]) => [x * xScale, y * yScale]),
    score,
  };
}
