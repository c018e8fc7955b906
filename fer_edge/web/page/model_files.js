/**
 * Fetches the files that the page runs on, says how far it is, and refuses what cannot be trusted.
 *
 * @typedef {{path: string, bytes: number, sha256: string}} SiteFile
 * @typedef {{
 *   provider: "wasm" | "webgpu", precision: string, model: SiteFile, card: string,
 * }} ModelChoice `card`: path of the JSON beside the model
 * @typedef {{
 *   minScore: number, maxOverlap: number, photoSide: number, cameraSide: number, margin: number,
 *   maxCropSide: number, minSide: number, maxUnsearchedSide: number, minFill: number,
 *   maxShift: number, squareTolerance: number, smoothing: number,
 * }} FaceSettings what fer_edge.runtime uses in Python, written here by `cli.py web`
 * @typedef {{
 *   labels: string[], onnxruntime: Record<"wasm" | "webgpu", SiteFile[]>, models: ModelChoice[],
 *   detector: SiteFile, faces: FaceSettings,
 * }} Site the contents of site.json
 * @typedef {{
 *   format_version: number, name: string, precision: string, architecture: string, labels: string[],
 *   input: {name: string, kind: string, channels: number[]}, outputs: {name: string}[], limits: string,
 *   metrics: Record<string, Record<string, unknown>>, training_data: {source: string}, file_sha256: string,
 *   uncertainty?: import("./certainty.js").Uncertainty | null,
 * }} Card what a model says about itself; see fer_edge/metadata.py
 */

import { sha256 } from "./sha256.js";

const CARD_VERSION = 1;

/** An error the visitor or the page's host can do something about: expected, found, next. */
export class PageError extends Error {}

/** @returns {Promise<Site>} */
export async function readSite() {
  return /** @type {Site} */ (await fetchJson("site.json"));
}

/**
 * Fetch and check a model and its card.
 * @param {ModelChoice} choice
 * @param {string[]} labels the labels that the page shows, in order
 * @param {(bytes: number) => void} onBytes called with the number of bytes that arrived
 * @returns {Promise<{card: Card, bytes: Uint8Array}>}
 */
export async function fetchModel(choice, labels, onBytes) {
  const [card, bytes] = await Promise.all([
    fetchJson(choice.card).then((raw) => checkCard(/** @type {Card} */ (raw), choice.card, labels)),
    fetchBytes(choice.model, onBytes),
  ]);
  await expectHash(bytes, card.file_sha256, choice.model.path, `that ${fileName(choice.card)} names`);
  return { card, bytes };
}

/**
 * Fetch a file that has no card and check it against the hash in site.json.
 * @param {SiteFile} file
 * @param {(bytes: number) => void} onBytes
 */
export async function fetchChecked(file, onBytes) {
  const bytes = await fetchBytes(file, onBytes);
  await expectHash(bytes, file.sha256, file.path, "in site.json");
  return bytes;
}

/**
 * Refuse a card that the page would misread.
 * @param {Card} card
 * @param {string} where
 * @param {string[]} labels
 */
export function checkCard(card, where, labels) {
  const expect = (/** @type {string} */ field, /** @type {unknown} */ expected, /** @type {unknown} */ found) => {
    if (JSON.stringify(expected) !== JSON.stringify(found)) {
      throw new PageError(
        `${fileName(where)}: expected ${field} ${shown(expected)}, found ${shown(found)}; write the page again with ` +
          "'fer-edge web'",
      );
    }
  };
  expect("format_version", CARD_VERSION, card?.format_version);
  expect("labels", labels, card.labels);
  expect("input.kind", "pixels", card.input?.kind);
  expect("RGBA input", true, card.input.channels?.includes(4) ?? false);
  return card;
}

/**
 * @param {SiteFile} file
 * @param {(bytes: number) => void} onBytes
 * @returns {Promise<Uint8Array>}
 */
async function fetchBytes(file, onBytes) {
  const response = await fetchOk(file.path);
  if (!response.body) return new Uint8Array(await response.arrayBuffer());
  const reader = response.body.getReader();
  const pieces = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new PageError(`${file.path}: expected ${file.bytes} bytes, the connection broke after ${length}; reload`);
    });
    if (done) break;
    pieces.push(value);
    length += value.length;
    onBytes(value.length);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/**
 * Load a module of the site. Throws an error that says what is wrong with the host where it is at fault.
 * @param {string} path
 */
export async function importModule(path) {
  try {
    return await import(beside(path));
  } catch (error) {
    const type = (await fetchOk(path)).headers.get("Content-Type") ?? "no type";
    if (/^(text|application)\/(x-)?javascript/.test(type)) throw error;
    throw new PageError(`${path}: expected the host to send it as text/javascript, found ${type}; set that type for .js there`);
  }
}

/** @param {string} path */
async function fetchJson(path) {
  const response = await fetchOk(path);
  try {
    return /** @type {unknown} */ (await response.json());
  } catch {
    throw new PageError(`${path}: expected JSON, found something else; write the page again with 'fer-edge web'`);
  }
}

/** @param {string} path relative to the page */
async function fetchOk(path) {
  let response;
  try {
    // "no-cache" asks the host whether a stored copy is still current: model and card always belong together.
    response = await fetch(beside(path), { cache: "no-cache" });
  } catch {
    throw new PageError(`${path}: the page's host did not answer; check the connection and reload`);
  }
  if (!response.ok) {
    throw new PageError(
      `${path}: expected the file beside the page, found HTTP ${response.status}; copy it there, or let the host send ` +
        "files of this kind",
    );
  }
  return response;
}

/**
 * @param {Uint8Array} bytes
 * @param {string} expected
 * @param {string} path
 * @param {string} source where the expected hash is from
 */
async function expectHash(bytes, expected, path, source) {
  const found = await sha256(bytes);
  if (found !== expected) {
    throw new PageError(
      `${fileName(path)}: expected the SHA-256 ${String(expected).slice(0, 12)}... ${source}, found ` +
        `${found.slice(0, 12)}...: the file was damaged or belongs to another model; write the page again`,
    );
  }
}

/** @param {string} path as site.json has it, from the page's folder */
export function beside(path) {
  return new URL(path, import.meta.url).href;
}

/** @param {string} path */
function fileName(path) {
  return path.split("/").pop() ?? path;
}

/** @param {unknown} value */
function shown(value) {
  const text = Array.isArray(value) ? value.join(", ") : String(JSON.stringify(value));
  return text.length <= 120 ? text : `${text.slice(0, 120)}...`;
}
