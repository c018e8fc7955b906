// The expression in photos of one face each, with an exported model, in Node.
//
//   npm ci --ignore-scripts
//   node predict.mjs ../../exported/NAME.onnx face.jpg ...
import { readFile } from "node:fs/promises";

import * as ort from "onnxruntime-node";
import sharp from "sharp";

const [modelPath, ...images] = process.argv.slice(2);
if (!images.length) {
  console.error("usage: node predict.mjs MODEL IMAGE ...");
  process.exit(2);
}
const model = await readFile(modelPath);
const labels = labelsIn(model); // never typed in by hand: their order is the model's
const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
for (const path of images) {
  const { data, info } = await pixelsOf(path);
  const image = new ort.Tensor("uint8", data, [1, info.height, info.width, info.channels]);
  const { probabilities } = await session.run({ image });
  const best = probabilities.data.indexOf(Math.max(...probabilities.data));
  console.log(`${path}: ${labels[best]} ${probabilities.data[best].toFixed(4)}`);
}

/** Pixels as the project's own commands see them: upright, on white, red first. */
function pixelsOf(path) {
  return sharp(path).autoOrient().flatten({ background: "white" }).toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
}

/**
 * The metadata lie in the file as plain JSON; onnxruntime's JavaScript API does not hand them out. They end where the
 * braces outside of strings do.
 */
function labelsIn(bytes) {
  const text = bytes.toString("latin1");
  const start = text.indexOf('{"format_version": ');
  let depth = 0, isString = false;
  for (let at = start; start >= 0 && at < text.length; at++) {
    const sign = text[at];
    if (isString && sign === "\\") at++;
    else if (sign === '"') isString = !isString;
    else if (!isString && sign === "{") depth++;
    else if (!isString && sign === "}" && --depth === 0) return JSON.parse(text.slice(start, at + 1)).labels;
  }
  throw new Error(`${modelPath}: expected a model with metadata, found none; export it with fer_edge`);
}
