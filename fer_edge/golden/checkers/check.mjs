// Does this JavaScript runtime give a model's golden answers? One file for Node and browsers.
//
// Node, from a project with onnxruntime-node (or onnxruntime-web) installed:
//   node path/to/check.mjs [MODEL] [PACKAGE, default onnxruntime-node] [--report FILE]
// Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much.
// --report also writes what was found, up to there, and where, as JSON: the same as check.py's.
//
// Browser, with the kit and the model on your own host:
//   import { checkKit, fetchFrom } from "./kit/check.mjs";
//   console.log(await checkKit(ort, new Uint8Array(await (await fetch("model.onnx")).arrayBuffer()), fetchFrom("./kit/")));

/**
 * Runs every vector. `read(path)` gives the bytes of a file of the kit; `report` is filled with what is found. Returns the
 * line of figures or throws an Error.
 */
export async function checkKit(ort, model, read, options = {}, report = {}) {
  const manifest = JSON.parse(new TextDecoder().decode(await read("manifest.json")));
  const { model: ofModel, tolerance: allowed, vectors } = manifest;
  let session, labels;
  try {
    // "answer" is in kits of another maker's model, which does not say itself what its classes and output are
    labels = ofModel.answer ? ofModel.labels : labelsIn(model);
    session = await ort.InferenceSession.create(model, options);
  } catch (error) {
    throw new Error(`the model cannot be loaded: ${oneLine(error)}`);
  }
  const sha256 = await sha256Of(model);
  const isOther = sha256 !== undefined && sha256 !== ofModel.sha256;
  const other = isOther ? `; the file is not the kit's ${ofModel.file}: SHA-256 ${sha256}` : "";

  const worst = { logits: 0, probabilities: 0 };
  const limits = { logits: allowed.max_logit_difference, probabilities: allowed.max_probability_difference };
  let images = 0, problem;
  const given = {};
  Object.assign(report, { model: { file: ofModel.file, sha256 }, images: 0, labels_changed: 0, answers: {} });
  for (const vector of vectors) {
    const bytes = (await read(vector.file)).slice(); // a copy starts at 0, as a Float32Array needs
    const values = ofModel.dtype === "uint8" ? bytes : new Float32Array(bytes.buffer);
    let answers;
    try {
      answers = await answer(ort, session, ofModel, values, vector.shape);
    } catch (error) {
      throw new Error(`vector ${vector.name}: cannot be run: ${oneLine(error)}${other}`);
    }
    for (let image = 0; image < vector.shape[0]; image++, images++) {
      const where = `vector ${vector.name}, image ${image}`;
      for (const name of ["logits", "probabilities"]) {
        const [found, expected] = [answers[name][image], vector[name][image]];
        if (found.length !== expected.length) {
          throw new Error(`${where}: expected ${expected.length} ${name}, found ${found.length}${other}`);
        }
        const difference = largestDifference(found, expected);
        worst[name] = Math.max(worst[name], difference);
        report[name === "logits" ? "max_logit_difference" : "max_probability_difference"] = worst[name];
        if (!(difference <= limits[name])) { // written so that NaN fails
          problem ??= `${where}: ${name} differ by ${difference.toPrecision(3)}, allowed ${limits[name]}${other}`;
        }
      }
      const best = indexOfLargest(answers.probabilities[image]), label = labels[best];
      (report.answers[vector.name] ??= []).push(best);
      (given[vector.name] ??= []).push({ logits: answers.logits[image], label });
      report.images += 1;
      report.labels_changed += Number(label !== vector.labels[image]);
      if (label !== vector.labels[image] && !isTie(vector.probabilities[image], allowed.tie_margin)) {
        problem ??= `${where}: expected ${vector.labels[image]}, found ${label}${other}`;
      }
    }
    if (!problem && vector.image && ofModel.dtype === "uint8" && typeof createImageBitmap === "function") {
      await checkDecoder(vector, bytes, await read(vector.image.file));
    }
  }
  if (problem) throw new Error(problem + mistakeIn(manifest, given));
  if (JSON.stringify(labels) !== JSON.stringify(ofModel.labels)) {
    throw new Error(`expected the labels ${ofModel.labels.join()}, found ${labels.join()}${other}`);
  }
  if (isOther) throw new Error(`all vectors agree${other}`);
  return `ok: ${vectors.length} vectors, ${images} images, onnxruntime ${ort.env.versions.common}: ` +
    `logits within ${worst.logits.toPrecision(2)} (allowed ${limits.logits}), ` +
    `probabilities within ${worst.probabilities.toPrecision(2)} (allowed ${limits.probabilities})` +
    (sha256 === undefined ? "; SHA-256 not checked: browsers hash on https and localhost alone" : "");
}

const EXPLAINED = 0.35; // distance from a mistake's answers over that from the right ones, or all in tolerance

/**
 * What the answers that differ from the right ones are those of, to be added to a line; empty where nothing fits.
 * `answers` has for each vector one { logits, probabilities, label } an image, of which any may be missing.
 */
export function mistakeIn(manifest, answers) {
  const { model: { labels }, tolerance: allowed, vectors, mistakes = [] } = manifest;
  const limits = { logits: allowed.max_logit_difference, probabilities: allowed.max_probability_difference };
  const squares = (one, other) => one.reduce((sum, value, at) => sum + (value - other[at]) ** 2, 0);
  const fitting = [];
  for (const mistake of mistakes) {
    let toRight = 0, toMistake = 0, farthest = 0, renamed = 0, otherwise = 0, missed = 0, missedNames = 0, images = 0;
    for (const vector of vectors) {
      const rows = mistake.logits[vector.name] ?? vector.logits; // elsewhere its answers are the right ones
      for (const [image, one] of answers[vector.name].entries()) {
        images++;
        const wrong = { logits: rows[image], probabilities: softmax(rows[image]) };
        const name = ["logits", "probabilities"].find((key) => one[key]);
        if (name) {
          if (!one[name].every(Number.isFinite)) return "";
          const right = vector[name][image];
          if (largestDifference(one[name], right) > limits[name]) {
            toRight += squares(one[name], right);
            toMistake += squares(one[name], wrong[name]);
            farthest = Math.max(farthest, largestDifference(one[name], wrong[name]) / limits[name]);
          } else if (largestDifference(wrong[name], right) > limits[name]) missed++;
        }
        if (one.label !== undefined && !isTie(wrong.probabilities, allowed.tie_margin)) {
          const label = labels[indexOfLargest(wrong.probabilities)], right = vector.labels[image];
          renamed += Number(one.label === label && label !== right);
          otherwise += Number(one.label !== label && one.label !== right);
          missedNames += Number(one.label === right && label !== right);
        }
      }
    }
    const share = toRight ? Math.sqrt(toMistake / toRight) : 0;
    if (toRight && (share <= EXPLAINED || (farthest <= 1 && share < 1))) {
      fitting.push([share + 0.1 * missed / images, mistake.says]);
    } else if (!toRight && renamed > 1 && !otherwise && !missedNames) { // labels alone tell less
      fitting.push([0, mistake.says]);
    }
  }
  if (!fitting.length || (fitting.length > 1 && fitting[0][0] === 0 && fitting[1][0] === 0)) return "";
  return `; your answers are those of ${fitting.reduce((best, one) => (one[0] < best[0] ? one : best))[1]}`;
}

/** Reads files of the kit from below `base`, a URL that ends in a slash. */
export function fetchFrom(base) {
  return async (path) => {
    const response = await fetch(base + path);
    if (!response.ok) throw new Error(`${base}${path}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}

const TINY = 2 ** -126; // the smallest float32, in place of a probability of 0

async function answer(ort, session, ofModel, values, shape) {
  const outputs = await session.run({ [ofModel.input]: new ort.Tensor(ofModel.dtype, values, shape) });
  if (ofModel.answer) {
    const found = rows(outputs[ofModel.outputs[0]].data, shape[0]);
    if (ofModel.answer === "logits") return { logits: found, probabilities: found.map(softmax) };
    return { logits: found.map((row) => Array.from(row, (one) => Math.log(Math.max(one, TINY)))), probabilities: found };
  }
  const logits = rows(outputs.logits.data, shape[0]);
  return { logits, probabilities: outputs.probabilities ? rows(outputs.probabilities.data, shape[0]) : logits.map(softmax) };
}

/** The browser's own decoder against the kit's pixels, upright and on white as apps should show images to the model. */
async function checkDecoder(vector, expected, file) {
  const bitmap = await createImageBitmap(new Blob([file]), { colorSpaceConversion: "none" });
  const [height, width, channels] = vector.image.shape;
  if (bitmap.height !== height || bitmap.width !== width) {
    throw new Error(`${vector.image.file}: expected ${width}x${height} pixels upright, found ${bitmap.width}x${bitmap.height}`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  let sum = 0;
  for (let at = 0; at < expected.length; at++) {
    sum += Math.abs(expected[at] - rgba[4 * Math.floor(at / channels) + (at % channels)]);
  }
  const difference = sum / expected.length, limit = vector.image.max_mean_level_difference;
  if (!(difference <= limit)) {
    throw new Error(`${vector.image.file}: decoded pixels differ by ${difference.toPrecision(3)} levels, allowed ${limit}`);
  }
}

/**
 * The metadata lie in the file as plain JSON; onnxruntime's JavaScript API does not hand them out. They end where the
 * braces outside of strings do.
 */
function labelsIn(model) {
  const text = new TextDecoder("latin1").decode(model);
  const start = text.indexOf('{"format_version": ');
  let depth = 0, isString = false;
  for (let at = start; start >= 0 && at < text.length; at++) {
    const sign = text[at];
    if (isString && sign === "\\") at++;
    else if (sign === '"') isString = !isString;
    else if (!isString && sign === "{") depth++;
    else if (!isString && sign === "}" && --depth === 0) return JSON.parse(text.slice(start, at + 1)).labels;
  }
  throw new Error("it has no metadata");
}

async function sha256Of(bytes) {
  if (!globalThis.crypto?.subtle) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const rows = (data, count) => {
  const columns = data.length / count;
  return Array.from({ length: count }, (_, row) => Array.from(data).slice(row * columns, (row + 1) * columns));
};
const softmax = (logits) => {
  const exponents = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
  const sum = exponents.reduce((total, value) => total + value);
  return exponents.map((value) => value / sum);
};
const largestDifference = (found, expected) => Math.max(...found.map((value, at) => Math.abs(value - expected[at])));
const indexOfLargest = (row) => row.indexOf(Math.max(...row));
const isTie = (row, margin) => {
  const [first, second] = [...row].sort((a, b) => b - a);
  return first - second <= margin;
};
const oneLine = (error) => String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 600);

const REPORT = "fer_edge device report 1";

async function main() {
  const { existsSync, statSync } = await import("node:fs");
  const { readFile, writeFile } = await import("node:fs/promises");
  const { cpus } = await import("node:os");
  const { createRequire } = await import("node:module");
  const { join } = await import("node:path");
  const kit = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
  const read = async (path) => new Uint8Array(await readFile(join(kit, path)));
  const words = process.argv.slice(2), at = words.indexOf("--report");
  const reportFile = at < 0 ? undefined : words.splice(at, 2)[1];
  if (reportFile !== undefined && statSync(reportFile, { throwIfNoEntry: false })?.isFile() && !await isReport(reportFile)) {
    throw new Error(`${reportFile}: expected no file, or an earlier report, found another; choose another FILE`);
  }
  const [chosen, name = "onnxruntime-node"] = words;
  const file = JSON.parse(new TextDecoder().decode(await read("manifest.json"))).model.file;
  const ort = createRequire(join(process.cwd(), "package.json"))(name); // of the project that this is run from
  if (ort.env.wasm) ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const model = chosen ?? (existsSync(join(kit, file)) ? join(kit, file) : join(kit, "..", file));
  const report = {
    report: REPORT, machine: process.arch, processor: cpus()[0]?.model ?? process.arch,
    system: `Node.js ${process.version} on ${process.platform}`, onnxruntime: ort.env.versions.common, provider: name,
  };
  try {
    report.reason = await checkKit(ort, new Uint8Array(await readFile(model)), read, {}, report);
    console.log(report.reason);
  } catch (error) {
    report.reason = oneLine(error);
    throw error;
  } finally {
    report.passed = report.reason.startsWith("ok: ");
    if (reportFile !== undefined) await writeFile(reportFile, JSON.stringify(report, null, 1) + "\n");
  }
}

async function isReport(file) {
  const { readFile } = await import("node:fs/promises");
  try {
    return JSON.parse(await readFile(file, "utf8")).report === REPORT;
  } catch {
    return false;
  }
}

const nameOf = (path) => path.split(/[\\/]/).pop();
if (typeof process !== "undefined" && process.argv?.[1] && nameOf(process.argv[1]) === nameOf(import.meta.url)) {
  main().catch((error) => {
    console.error(`FAILED: ${oneLine(error)}`);
    process.exit(1);
  });
}
