/**
 * The worker: everything that takes time happens here, so that the page answers at once.
 *
 * It is sent `{id, bitmap, live}` and answers `{id, analysis}` or `{id, error}`; while it loads it sends
 * `{loaded, total}`, then once `{ready}` or `{failed}`.
 *
 * @typedef {import("./detector.js").Face & {probabilities: number[]}} FaceReading
 * @typedef {{
 *   width: number, height: number, faces: FaceReading[], cropReason: "small" | "filled" | null,
 *   detectMs: number, expressionMs: number,
 * }} Analysis `cropReason`: why the picture was taken for one face, if it was; `expressionMs`: mean of a face
 * @typedef {{
 *   card: import("./model_files.js").Card, provider: string, bytes: number, labels: string[], smoothing: number,
 * }} Ready `bytes`: of the model; `smoothing`: share of the newest camera frame in what is shown
 */

import { isFilled, isSmallCrop, wholeFace } from "./crops.js";
import { detect } from "./detector.js";
import { classify, crop } from "./expression.js";
import { PageError, readSite } from "./model_files.js";
import { openModels } from "./sessions.js";

/** @typedef {import("./picture.js").Picture} Picture */

const WHITE = "#fff"; // transparent pixels lie on white, as in Python

const start = prepare();
start.then(
  ({ ready }) => postMessage({ ready }),
  (error) => postMessage({ failed: explained(error) }),
);

onmessage = async ({ data: { id, bitmap, live } }) => {
  try {
    postMessage({ id, analysis: await analyse(bitmap, live) });
  } catch (error) {
    postMessage({ id, error: explained(error) });
  }
};

async function prepare() {
  const site = await readSite();
  const models = await openModels(site, (loaded, total) => postMessage({ loaded, total }));
  const bytes = site.models.find(({ provider }) => provider === models.provider)?.model.bytes ?? 0;
  /** @type {Ready} */
  const ready = {
    card: models.card,
    provider: models.provider,
    bytes,
    labels: site.labels,
    smoothing: site.faces.smoothing,
  };
  return { site, models, ready };
}

/**
 * @param {ImageBitmap} bitmap
 * @param {boolean} live a frame of the camera: searched at a smaller side
 * @returns {Promise<Analysis>}
 */
async function analyse(bitmap, live) {
  const { site, models } = await start;
  const picture = pixelsOf(bitmap);
  const { ort } = models;

  const detectStart = performance.now();
  const maxSide = live ? site.faces.cameraSide : site.faces.photoSide;
  const isSmall = !live && isSmallCrop(picture, site.faces);
  const searched = isSmall ? [] : await detect(ort, models.detector, picture, maxSide, site.faces);
  const cropReason = isSmall ? "small" : !live && isFilled(picture, searched, site.faces) ? "filled" : null;
  const isCrop = cropReason !== null;
  const found = isCrop ? [wholeFace(picture)] : searched;
  const detectMs = performance.now() - detectStart;

  const expressionStart = performance.now();
  const faces = [];
  for (const face of found) {
    const pixels = isCrop ? picture : crop(picture, face.box, site.faces);
    faces.push({ ...face, probabilities: await classify(ort, models.expression, models.card.input.name, pixels) });
  }
  const expressionMs = found.length ? (performance.now() - expressionStart) / found.length : 0;
  return { width: picture.width, height: picture.height, faces, cropReason, detectMs, expressionMs };
}

/** @type {OffscreenCanvas | undefined} */
let canvas;

/**
 * @param {ImageBitmap} bitmap closed here
 * @returns {Picture}
 */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new PageError("expected a canvas of this size, the browser gave none; use a smaller picture");
  context.fillStyle = WHITE;
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** @param {unknown} error */
function explained(error) {
  if (error instanceof PageError) return error.message;
  return `something unexpected went wrong (${error instanceof Error ? error.message.split("\n")[0] : error}); reload`;
}
