/** The page: an example at once, then the visitor's photos or camera, one picture at a time. */

import { Announcer } from "./announcer.js";
import { Camera } from "./camera.js";
import { doubt, judge } from "./certainty.js";
import { Engine } from "./engine.js";
import { hintForFace, hintWithoutFace } from "./hints.js";
import { inReadingOrder, rowsOf } from "./order.js";
import { listenForPictures, openPicture } from "./picture_sources.js";
import { FrameRate, Steady } from "./rates.js";
import { download, markedPicture, readingsAsJson } from "./saving.js";
import { nearest, steadied } from "./tracks.js";
import { Bars, FaceBoxes, FaceList, indexOfLargest, megabytes, setText, showCard } from "./views.js";

/** @typedef {import("./worker.js").Analysis} Analysis */
/** @typedef {import("./worker.js").FaceReading} FaceReading */

const FIGURE_SHARE = 0.15; // of the newest frame in the figures of speed
const FIGURES_EVERY_MS = 250; // often enough to be live, slow enough to be read
const NO_FACE = "No face found";

const element = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const example = /** @type {HTMLImageElement} */ (element("example"));
const photo = /** @type {HTMLCanvasElement} */ (element("photo"));
const video = /** @type {HTMLVideoElement} */ (element("video"));
const cameraButton = /** @type {HTMLButtonElement} */ (element("camera"));
const turnButton = /** @type {HTMLButtonElement} */ (element("turn"));
const exampleButton = /** @type {HTMLButtonElement} */ (element("show-example"));

const engine = new Engine(showProgress);
const camera = new Camera(video, () => void stopCamera("The camera was disconnected."));
const announcer = new Announcer(element("announcer"));
const boxes = new FaceBoxes(element("faces"), chooseFace);
const list = new FaceList(element("face-list"), chooseFace);

/** @type {Bars | undefined} */
let bars;
/** @type {string[]} */
let labels = [];
/** @type {import("./certainty.js").Uncertainty | null} null: the model was not calibrated */
let uncertainty = null;
let model = { name: "", provider: "" };
let smoothing = 1;
/** What is on the stage: a newer picture makes the answers about older ones pointless. */
let pictureNumber = 0;
let pictureName = "";
/** @type {Analysis | undefined} */
let current;
/** @type {FaceReading | undefined} */
let chosen;

void start();

async function start() {
  listenForPictures({
    input: /** @type {HTMLInputElement} */ (element("file")),
    dropArea: element("stage"),
    onFile: (file) => void showPhoto(file, file.name),
    onOther: () => showMessage("Expected a picture file, found something else. Save the picture first, then drop its file."),
  });
  cameraButton.addEventListener("click", () => void (camera.isOn ? stopCamera() : startCamera()));
  turnButton.addEventListener("click", () => void turnCamera());
  exampleButton.addEventListener("click", () => void showExample());
  element("save-picture").addEventListener("click", () => void savePicture());
  element("save-json").addEventListener("click", saveJson);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && camera.isOn) void stopCamera("The camera was stopped because the page was out of sight.");
  });
  try {
    const ready = await engine.ready;
    labels = ready.labels;
    uncertainty = ready.card.uncertainty ?? null;
    model = { name: ready.card.name, provider: ready.provider };
    smoothing = ready.smoothing;
    bars = new Bars(element("bars"), labels);
    showCard(element("card"), ready);
    element("loading").hidden = true;
    document.body.dataset.state = "ready";
  } catch (error) {
    element("loading").hidden = true;
    document.body.dataset.state = "failed";
    setText(element("expression-note"), "The model could not be used");
    showMessage(messageOf(error));
    return;
  }
  // A visitor may have chosen something else while the model was loading.
  if (pictureNumber === 0) await showExample();
}

/**
 * @param {number} loaded in bytes
 * @param {number} total
 */
function showProgress(loaded, total) {
  const progress = /** @type {HTMLProgressElement} */ (element("progress"));
  progress.value = loaded / total;
  const text = loaded < total ? `Loading the model: ${megabytes(loaded)} of ${megabytes(total)}` : "Opening the model …";
  setText(element("loading-text"), text);
}

async function showExample() {
  const response = await fetch(new URL("example.jpg", import.meta.url));
  await showPhoto(await response.blob(), "example.jpg", { isExample: true });
}

/**
 * @param {Blob} blob
 * @param {string} name
 * @param {{isExample?: boolean}} options
 */
async function showPhoto(blob, name, { isExample = false } = {}) {
  const number = ++pictureNumber;
  leaveCamera();
  showMessage("");
  try {
    const bitmap = await openPicture(blob, name);
    if (number !== pictureNumber) return;
    pictureName = name;
    if (!isExample) drawPhoto(bitmap, name);
    showOnStage(isExample ? example : photo, bitmap.width / bitmap.height);
    clearReading("Looking for faces …");
    exampleButton.hidden = isExample;
    await engine.ready;
    const analysis = await engine.analyse(bitmap, { live: false });
    if (number !== pictureNumber) return;
    showAnalysis(analysis, { isLive: false });
    announcer.say(summary(analysis));
  } catch (error) {
    if (number === pictureNumber) showMessage(messageOf(error));
  }
}

/**
 * @param {ImageBitmap} bitmap
 * @param {string} name
 */
function drawPhoto(bitmap, name) {
  photo.width = bitmap.width;
  photo.height = bitmap.height;
  photo.setAttribute("aria-label", `Your picture ${name}`);
  photo.getContext("2d")?.drawImage(bitmap, 0, 0);
}

async function startCamera() {
  const number = ++pictureNumber;
  showMessage("");
  cameraButton.disabled = true;
  try {
    await camera.start();
    if (number !== pictureNumber) return leaveCamera();
    pictureName = "camera";
    setText(cameraButton, "Stop camera");
    turnButton.hidden = !(await camera.hasAnother());
    showOnStage(video, video.videoWidth / video.videoHeight);
    clearReading("Looking for faces …");
    exampleButton.hidden = false;
    void watch(number);
  } catch (error) {
    showMessage(messageOf(error));
  } finally {
    cameraButton.disabled = false;
  }
}

/** @param {string} [reason] */
async function stopCamera(reason = "") {
  leaveCamera();
  await showExample();
  if (reason) showMessage(reason);
}

function leaveCamera() {
  camera.stop();
  turnButton.hidden = true;
  setText(cameraButton, "Use camera");
}

async function turnCamera() {
  const number = ++pictureNumber;
  try {
    await camera.turn();
    showOnStage(video, video.videoWidth / video.videoHeight);
    void watch(number);
  } catch (error) {
    await stopCamera(messageOf(error));
  }
}

/**
 * Read the camera until another picture takes the stage.
 * @param {number} number of this picture
 */
async function watch(number) {
  const rate = new FrameRate();
  const [detectMs, expressionMs] = [new Steady(FIGURE_SHARE), new Steady(FIGURE_SHARE)];
  let figuresAt = 0;
  /** @type {FaceReading[]} */
  let before = [];
  try {
    await engine.ready;
    for await (const frame of camera.frames()) {
      const analysis = await engine.analyse(frame, { live: true });
      if (number !== pictureNumber) return;
      before = analysis.faces = steadied(before, inReadingOrder(analysis.faces), smoothing);
      chosen = (chosen && nearest(before, chosen)) ?? largest(before);
      const now = performance.now();
      rate.add(now);
      detectMs.add(analysis.detectMs);
      if (before.length) expressionMs.add(analysis.expressionMs);
      showAnalysis(analysis, { isLive: true });
      if (now - figuresAt >= FIGURES_EVERY_MS) {
        figuresAt = now;
        showFigures(detectMs.value, expressionMs.value, rate.perSecond);
      }
      announcer.sayIfItLasts(summary(analysis));
    }
  } catch (error) {
    if (number === pictureNumber) showMessage(messageOf(error));
  }
}

/**
 * @param {Analysis} analysis
 * @param {{isLive: boolean}} options
 */
function showAnalysis(analysis, { isLive }) {
  current = analysis;
  if (!isLive) {
    analysis.faces = inReadingOrder(analysis.faces);
    chosen = largest(analysis.faces);
    showFigures(analysis.detectMs, analysis.faces.length ? analysis.expressionMs : undefined, undefined);
  }
  showReading();
  document.dispatchEvent(new CustomEvent("analysis", { detail: analysis }));
}

/** The boxes, the expression and the bars of what is on the stage. */
function showReading() {
  if (!current) return;
  const { faces } = current;
  const index = chosen ? faces.indexOf(chosen) : -1;
  boxes.show(faces, current, { chosen: index, isMirrored: camera.isOn && camera.isMirrored, labels });
  list.show(faces, { chosen: index, labels });
  const judgement = chosen ? judge(chosen.probabilities, labels, uncertainty) : null;
  bars?.show(chosen?.probabilities);
  element("bars").classList.toggle("is-uncertain", judgement?.isCertain === false);
  element("expression").classList.toggle("is-uncertain", judgement?.isCertain === false);
  element("saving").hidden = false;
  element("expression-number").hidden = faces.length < 2 || index < 0;
  setText(element("expression-number"), String(index + 1));
  if (!chosen) {
    showExpression(NO_FACE, hintWithoutFace(current, camera.isOn));
    return;
  }
  const best = indexOfLargest(chosen.probabilities);
  const share = Math.round(chosen.probabilities[best] * 100);
  const hint = hintForFace(current, index, camera.isOn);
  showExpression(labels[best], [`${share} %`, doubt(judgement), hint].filter(Boolean).join(" · "));
}

/** What is on the stage, with what was found in it; a camera's picture as it is, not as in a mirror. */
async function savePicture() {
  if (!current) return;
  const source = [example, photo, video].find((each) => !each.hidden) ?? photo;
  const chosenIndex = chosen ? current.faces.indexOf(chosen) : -1;
  try {
    download(await markedPicture(source, current, { chosen: chosenIndex, labels }), fileName("png"));
  } catch (error) {
    showMessage(messageOf(error));
  }
}

function saveJson() {
  if (!current) return;
  const { name, provider } = model;
  const text = readingsAsJson(current, { source: pictureName, model: name, provider, labels, uncertainty });
  download(new Blob([text], { type: "application/json" }), fileName("json"));
}

/** @param {string} suffix */
function fileName(suffix) {
  return `${pictureName.replace(/\.[^.]*$/, "")}-faces.${suffix}`;
}

/** @param {number} index */
function chooseFace(index) {
  chosen = current?.faces[index];
  showReading();
  if (chosen) announcer.say(`Face ${index + 1}: ${labels[indexOfLargest(chosen.probabilities)]}`);
}

/**
 * @param {string} expression
 * @param {string} note
 */
function showExpression(expression, note) {
  setText(element("expression"), expression);
  setText(element("expression-note"), note);
}

/** @param {string} note */
function clearReading(note) {
  current = chosen = undefined;
  boxes.clear();
  list.show([], { chosen: -1, labels });
  for (const id of ["bars", "expression"]) element(id).classList.remove("is-uncertain");
  element("saving").hidden = true;
  element("expression-number").hidden = true;
  bars?.show(undefined);
  showExpression("\u00a0", note);
  showFigures(undefined, undefined, undefined);
}

/**
 * @param {number | undefined} detectMs
 * @param {number | undefined} expressionMs
 * @param {number | undefined} framesPerSecond
 */
function showFigures(detectMs, expressionMs, framesPerSecond) {
  setText(element("detect-ms"), detectMs === undefined ? "–" : `${detectMs.toFixed(0)} ms`);
  setText(element("expression-ms"), expressionMs === undefined ? "–" : `${expressionMs.toFixed(1)} ms`);
  setText(element("frame-rate"), framesPerSecond === undefined ? "–" : framesPerSecond.toFixed(0));
}

/**
 * @param {HTMLElement} shown the example, the photo or the video
 * @param {number} ratio width over height
 */
function showOnStage(shown, ratio) {
  for (const each of [example, photo, video]) each.hidden = each !== shown;
  video.classList.toggle("is-mirrored", camera.isOn && camera.isMirrored);
  element("frame").style.setProperty("--ratio", String(ratio));
}

/** @param {string} text empty: none */
function showMessage(text) {
  setText(element("message"), text);
  element("message").hidden = !text;
}

/**
 * One sentence for those who listen.
 * @param {Analysis} analysis
 */
function summary({ faces }) {
  if (!faces.length) return NO_FACE;
  const named = faces.map(({ probabilities }) => {
    const isUncertain = judge(probabilities, labels, uncertainty)?.isCertain === false;
    return `${isUncertain ? "perhaps " : ""}${labels[indexOfLargest(probabilities)]}`;
  });
  if (faces.length === 1) return `One face: ${named[0]}`;
  const order = rowsOf(faces).length === 1 ? "from left to right" : "row by row from above";
  return `${faces.length} faces, ${order}: ${named.join(", ")}`;
}

/** @param {FaceReading[]} faces */
function largest(faces) {
  return [...faces].sort((one, other) => other.box.width * other.box.height - one.box.width * one.box.height)[0];
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
