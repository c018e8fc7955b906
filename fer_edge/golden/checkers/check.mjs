// Does this JavaScript runtime give a model's golden answers? One file for Node and browsers.
//
// Node, from a project with onnxruntime-node (or onnxruntime-web) installed:
//   node path/to/check.mjs [MODEL] [PACKAGE, default onnxruntime-node] [--report FILE]
//   node path/to/check.mjs --answers FILE     what an app answered, as JSON (README.md has its form): needs Node alone
// Exit code 0 with one line of figures, or 1 with one line that names the first vector that differs and by how much; and
// the mistake, or the two, where the answers are those of some that the kit knows.
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
          problem ??= `${where}: ${name} differ by ${digits(difference, 3)}, allowed ${limits[name]}${other}`;
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
const PLAIN = 2; // tolerances: what lies between one and two may be the rounding of another resize

/**
 * What the answers that differ from the right ones are those of, to be added to a line; empty for an older kit.
 * `answers` has for each vector one { logits, probabilities, label } an image, of which any may be missing.
 */
export function mistakeIn(manifest, answers) {
  const known = (manifest.mistakes ?? []).map((mistake) => distancesOf(mistake, manifest, answers));
  if (!known.length || known.includes(undefined)) return "";
  const { right } = known[0], images = [...right.keys()];
  if (!right.length) return labelMistakeIn(known);
  const sum = (values, among) => among.reduce((total, at) => total + values[at], 0);
  // distance from a mistake's answers over that from the right ones, of some images together
  const share = (wrong, among) => Math.sqrt(sum(wrong, among) / sum(right, among));
  const best = (candidates) => candidates.reduce((least, one) => (one[0] < least[0] ? one : least)).slice(1);
  const least = (one, other) => one.map((value, at) => Math.min(value, other[at]));

  let first, second;
  const fitting = [];
  for (const one of known) {
    const whole = share(one.wrong, images);
    if (whole <= EXPLAINED || (Math.max(...one.far) <= 1 && whole < 1)) fitting.push([whole + 0.1 * one.missed / one.images, one]);
  }
  if (fitting.length) {
    [first] = best(fitting);
    // images that it leaves alone, and that differ plainly
    const beyond = images.filter((at) => !first.changes[at] && first.far[at] > PLAIN);
    if (!beyond.length) return `; your answers are ${nearly(first.far)}those of ${first.says}`;
    const others = known.map((one) => [share(one.wrong, beyond), one]).filter(([part]) => part <= EXPLAINED);
    if (!others.length) {
      const where = first.places[beyond[0]];
      return `; your answers are nearest to those of ${first.says}. Something else differs too, first ${where}`;
    }
    [second] = best(others);
  } else {
    const pairs = [];
    const alone = ({ far, wrong }) => images.map((at) => far[at] <= 1 || wrong[at] <= EXPLAINED ** 2 * right[at]);
    for (const [number, one] of known.entries()) {
      for (const other of known.slice(0, number)) {
        const whole = share(least(one.wrong, other.wrong), images), [mine, theirs] = [alone(one), alone(other)];
        // two that change the same images are one that is not known
        const spared = images.some((at) => (mine[at] && !other.changes[at]) || (theirs[at] && !one.changes[at]));
        const both = images.some((at) => mine[at] && !theirs[at]) && images.some((at) => theirs[at] && !mine[at]);
        if (whole <= EXPLAINED && spared && both) {
          pairs.push([whole + 0.1 * (one.missed + other.missed) / one.images, other, one]);
        }
      }
    }
    if (!pairs.length) return `; your answers are those of none of the ${known.length} mistakes that the kit knows`;
    [first, second] = best(pairs);
  }
  return `; your answers are ${nearly(least(first.far, second.far))}those of two mistakes: ${first.says}. And: ${second.says}`;
}

const nearly = (far) => (Math.max(...far) <= 1 ? "" : "nearest to "); // within the limits of every image, or not

/**
 * How far the answers are from those of one mistake; undefined where one of them is no number.
 *
 * Of each image whose answer differs from the right one: squared distances to the right answer and to the mistake's, the
 * latter's largest over the limit, and whether the mistake changes that image's answer at all. `missed`: images that the
 * mistake changes and whose answers are right. Then what the labels alone say.
 */
function distancesOf(mistake, { model: { labels }, tolerance: allowed, vectors }, answers) {
  const limits = { logits: allowed.max_logit_difference, probabilities: allowed.max_probability_difference };
  const squares = (one, other) => one.reduce((sum, value, at) => sum + (value - other[at]) ** 2, 0);
  const found = { says: mistake.says, places: [], right: [], wrong: [], far: [], changes: [] };
  Object.assign(found, { images: 0, numbers: 0, missed: 0, renamed: 0, otherwiseNamed: 0, missedNames: 0 });
  for (const vector of vectors) {
    const rows = mistake.logits[vector.name] ?? vector.logits; // elsewhere its answers are the right ones
    for (const [image, one] of answers[vector.name].entries()) {
      found.images++;
      const wrong = { logits: rows[image], probabilities: softmax(rows[image]) };
      const name = ["logits", "probabilities"].find((key) => one[key]);
      if (name) {
        found.numbers++;
        if (!one[name].every(Number.isFinite)) return undefined;
        const right = vector[name][image], changes = largestDifference(wrong[name], right) > limits[name];
        if (largestDifference(one[name], right) > limits[name]) {
          found.places.push(`vector ${vector.name}, image ${image}`);
          found.right.push(squares(one[name], right));
          found.wrong.push(squares(one[name], wrong[name]));
          found.far.push(largestDifference(one[name], wrong[name]) / limits[name]);
          found.changes.push(changes);
        } else found.missed += Number(changes);
      }
      if (one.label !== undefined && !isTie(wrong.probabilities, allowed.tie_margin)) {
        const label = labels[indexOfLargest(wrong.probabilities)], right = vector.labels[image];
        found.renamed += Number(one.label === label && label !== right);
        found.otherwiseNamed += Number(one.label !== label && one.label !== right);
        found.missedNames += Number(one.label === right && label !== right);
      }
    }
  }
  return found;
}

/** As `mistakeIn`, where no number differs but labels do; those tell less. */
function labelMistakeIn(known) {
  const fitting = known.filter((one) => one.renamed > 1 && !one.otherwiseNamed && !one.missedNames);
  if (fitting.length === 1) return `; your answers are those of ${fitting[0].says}`;
  return known[0].numbers
    ? "; the numbers are right, the labels are not: each number has the name at its place in the kit's labels"
    : "; labels alone do not tell the mistake: write probabilities or logits, too";
}

/** Compares what an app wrote: `text` is that of the file called `file`. Returns the line of figures or throws an Error. */
export function checkAnswers(manifest, text, file) {
  const answers = readAnswers(text, file, manifest), { tolerance: allowed, vectors } = manifest;
  const limits = { logits: allowed.max_logit_difference, probabilities: allowed.max_probability_difference };
  const worst = {};
  let images = 0, problem;
  for (const vector of vectors) {
    for (const [image, one] of answers[vector.name].entries()) {
      const where = `vector ${vector.name}, image ${image}`;
      images++;
      for (const name of Object.keys(limits).filter((key) => one[key])) {
        const difference = largestDifference(one[name], vector[name][image]);
        worst[name] = Math.max(worst[name] ?? 0, difference);
        if (!(difference <= limits[name])) {
          problem ??= `${where}: ${name} differ by ${digits(difference, 3)}, allowed ${digits(limits[name], 6)}`;
        }
      }
      const expected = vector.labels[image];
      if ((one.label ?? expected) !== expected && !isTie(vector.probabilities[image], allowed.tie_margin)) {
        problem ??= `${where}: expected ${expected}, found ${one.label}`;
      }
    }
  }
  if (problem) throw new Error(problem + mistakeIn(manifest, answers));
  const figures = Object.keys(limits).filter((name) => name in worst)
    .map((name) => `${name} within ${digits(worst[name], 2)} (allowed ${digits(limits[name], 6)})`);
  return `ok: ${vectors.length} vectors, ${images} images, answers of ${nameOf(file)}: ${figures.join(", ") || "labels agree"}`;
}

/** What an app wrote, for each vector one object an image. Throws an Error of one line. */
function readAnswers(text, file, { model: { labels }, vectors }) {
  let raw;
  try {
    raw = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw new Error(`${file}: expected JSON, found something else: ${oneLine(error).slice(0, 200)}`);
  }
  if (!isObject(raw)) throw new Error(`${file}: expected an object with an entry for each vector, found ${shown(raw)}`);
  const names = vectors.map((vector) => vector.name), keys = Object.keys(raw);
  const other = keys.find((key) => !names.includes(key)), missing = names.find((name) => !Object.hasOwn(raw, name));
  if (other !== undefined) throw new Error(`${file}: expected the kit's vectors, found ${shown(other)}`);
  if (missing !== undefined) {
    throw new Error(`${file}: expected all ${names.length} vectors, found ${keys.length}, none for ${missing}`);
  }
  const answers = {};
  for (const vector of vectors) {
    const place = `${file}: vector ${vector.name}`, entry = raw[vector.name], given = Array.isArray(entry) ? entry : [entry];
    if (given.length !== vector.labels.length) {
      throw new Error(`${place}: expected a list of ${vector.labels.length} answers, found ${given.length}`);
    }
    answers[vector.name] = given.map((one, image) => {
      const where = `${place}, image ${image}`;
      if (!isObject(one)) throw new Error(`${where}: expected an object with label, probabilities or logits, found ${shown(one)}`);
      if (!["label", "probabilities", "logits"].some((key) => Object.hasOwn(one, key))) {
        throw new Error(`${where}: expected label, probabilities or logits, found none of them`);
      }
      const row = {};
      for (const name of ["logits", "probabilities"]) {
        if (Object.hasOwn(one, name)) row[name] = numbersIn(one[name], labels, where, name);
      }
      if (Object.hasOwn(one, "label")) {
        if (!labels.includes(one.label)) {
          throw new Error(`${where}: expected one of the labels ${labels.join(", ")}, found ${shown(one.label)}`);
        }
        row.label = one.label;
      }
      return row;
    });
  }
  return answers;
}

/** A number for each class in the model's order, of a list or an object with the labels as keys. Throws an Error. */
function numbersIn(values, labels, where, name) {
  if (isObject(values)) {
    const keys = Object.keys(values), unknown = keys.find((key) => !labels.includes(key));
    if (unknown !== undefined) {
      throw new Error(`${where}: expected the labels ${labels.join(", ")} in ${name}, found ${shown(unknown)}`);
    }
    const missing = labels.find((label) => !Object.hasOwn(values, label));
    if (missing !== undefined) {
      throw new Error(`${where}: expected ${labels.length} ${name}, found ${keys.length}, none for ${missing}`);
    }
    values = labels.map((label) => values[label]);
  }
  if (!Array.isArray(values)) throw new Error(`${where}: expected ${labels.length} ${name}, found ${shown(values)}`);
  if (values.length !== labels.length) {
    throw new Error(`${where}: expected ${labels.length} ${name}, found ${values.length}`);
  }
  for (const value of values) {
    if (typeof value !== "number") throw new Error(`${where}: expected ${name} that are numbers, found ${shown(value)}`);
    if (!(Math.abs(value) < 1e30)) throw new Error(`${where}: expected ${name} below 1e30, found a larger one`);
  }
  return values;
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** What was found instead, in a few words of one line. */
function shown(value) {
  if (typeof value === "string") {
    return `"${Array.from(value, (sign) => (sign >= " " && sign !== "\x7f" ? sign : " ")).slice(0, 60).join("")}"`;
  }
  if (typeof value === "number") return "a number";
  if (Array.isArray(value)) return "a list";
  return isObject(value) ? "an object" : String(value);
}

/** As C's and Python's %.{count}g. */
function digits(value, count) {
  const [mantissa, exponent] = value.toExponential(count - 1).split("e");
  if (value !== 0 && (exponent < -4 || exponent >= count)) {
    return `${Number(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  return String(Number(value.toPrecision(count)));
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
const oneLine = (error) => String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 2000);

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
  if (words.includes("--answers")) {
    const [option, file] = words;
    if (words.length !== 2 || option !== "--answers") {
      console.error("usage: check.mjs [MODEL] [PACKAGE] [--report FILE] | check.mjs --answers FILE");
      process.exit(2);
    }
    const text = await readFile(file, "utf8").catch(() => { throw new Error(`${file}: cannot be read`); });
    console.log(checkAnswers(JSON.parse(new TextDecoder().decode(await read("manifest.json"))), text, file));
    return;
  }
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
