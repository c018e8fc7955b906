/**
 * Opens the face detector and the expression model in onnxruntime-web, in the worker.
 *
 * @typedef {typeof import("onnxruntime-web")} Ort
 * @typedef {import("onnxruntime-web").InferenceSession} Session
 * @typedef {import("./model_files.js").Site} Site
 * @typedef {import("./model_files.js").Card} Card
 * @typedef {import("./model_files.js").ModelChoice} ModelChoice
 * @typedef {{ort: Ort, provider: string, detector: Session, expression: Session, card: Card}} Models
 */

import { PageError, beside, fetchChecked, fetchModel, importModule } from "./model_files.js";

/** onnxruntime-web's WebGPU has no antialiased resize. fer_edge/export/preprocessing.py gives the node its name. */
const KEPT_ON_CPU = ["preprocessing.resized"];

/**
 * Fetch, check and open everything, on WebGPU where the site has a model for it and the browser an adapter.
 * @param {Site} site
 * @param {(loaded: number, total: number) => void} onProgress in bytes
 * @returns {Promise<Models>}
 */
export async function openModels(site, onProgress) {
  const choice = await chooseModel(site);
  const runtimeFiles = site.onnxruntime[choice.provider];
  const wasmFile = runtimeFiles.find((file) => file.path.endsWith(".wasm"));
  const api = runtimeFiles.find((file) => file.path.endsWith(".min.js"));
  const glue = runtimeFiles.find((file) => file.path.endsWith(".js") && file !== api);
  if (!wasmFile || !api || !glue) throw new PageError("site.json: expected the files of onnxruntime-web, found fewer");

  const total = wasmFile.bytes + choice.model.bytes + site.detector.bytes;
  let loaded = 0;
  const onBytes = (/** @type {number} */ bytes) => onProgress((loaded += bytes), total);
  const [{ card, bytes }, detectorBytes, wasm, ort] = await Promise.all([
    fetchModel(choice, site.labels, onBytes),
    fetchChecked(site.detector, onBytes),
    fetchChecked(wasmFile, onBytes),
    /** @type {Promise<Ort>} */ (importModule(api.path)),
  ]);
  ort.env.wasm.wasmPaths = { mjs: beside(glue.path), wasm: beside(wasmFile.path) };
  ort.env.wasm.wasmBinary = wasm; // fetched above, where its bytes count towards the progress
  ort.env.wasm.numThreads = 1; // more need cross-origin isolation, which few static hosts offer

  // The detector's input changes its size from picture to picture, which suits WASM; only the net is worth a GPU.
  const detector = await open(ort, detectorBytes, "wasm", site.detector.path);
  const expression = await open(ort, bytes, choice.provider, choice.model.path);
  expectNames(choice.model.path, "input", [card.input.name], expression.inputNames);
  expectNames(choice.model.path, "output", ["probabilities"], expression.outputNames);
  await warmUp(ort, detector, expression, card.input.name);
  return { ort, provider: choice.provider, detector, expression, card };
}

/**
 * Let both run once on nothing: the first run compiles, and would make the first picture wait and its figures lie.
 * @param {Ort} ort
 * @param {Session} detector
 * @param {Session} expression
 * @param {string} inputName
 */
async function warmUp(ort, detector, expression, inputName) {
  await detector.run({ input: new ort.Tensor("float32", new Float32Array(3 * 256 * 320), [1, 3, 256, 320]) });
  await expression.run({ [inputName]: new ort.Tensor("uint8", new Uint8Array(96 * 96 * 4), [1, 96, 96, 4]) });
}

/**
 * @param {Site} site
 * @returns {Promise<ModelChoice>}
 */
async function chooseModel(site) {
  const onGpu = site.models.find((choice) => choice.provider === "webgpu");
  if (onGpu && (await hasWebGpu(onGpu.precision))) return onGpu;
  const onWasm = site.models.find((choice) => choice.provider === "wasm");
  if (!onWasm) throw new PageError("site.json: expected a model for WebAssembly, found none; write the page again");
  return onWasm;
}

/**
 * Whether there is an adapter, for fp16 one that computes in half precision.
 * @param {string} precision of the model
 */
async function hasWebGpu(precision) {
  /** @type {{requestAdapter(): Promise<{features: Set<string>} | null>} | undefined} */
  const gpu = /** @type {any} */ (navigator).gpu; // no types for WebGPU in TypeScript's own library
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return adapter ? precision !== "fp16" || adapter.features.has("shader-f16") : false;
}

/**
 * @param {Ort} ort
 * @param {Uint8Array} bytes
 * @param {"wasm" | "webgpu"} provider
 * @param {string} path
 * @returns {Promise<Session>}
 */
async function open(ort, bytes, provider, path) {
  try {
    const executionProvider = provider === "webgpu" ? { name: "webgpu", forceCpuNodeNames: KEPT_ON_CPU } : provider;
    return await ort.InferenceSession.create(bytes, {
      executionProviders: [executionProvider],
      logSeverityLevel: 3, // errors: what WebGPU leaves to the CPU is meant
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    throw new PageError(`${path}: expected a model that onnxruntime-web opens on ${provider}, found: ${reason}`);
  }
}

/**
 * @param {string} path
 * @param {string} kind
 * @param {string[]} expected
 * @param {readonly string[]} found
 */
function expectNames(path, kind, expected, found) {
  const missing = expected.filter((name) => !found.includes(name));
  if (missing.length) {
    throw new PageError(`${path}: expected the ${kind} ${missing.join(", ")}, found ${found.join(", ")}`);
  }
}
