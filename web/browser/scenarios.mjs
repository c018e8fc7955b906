/** What a visitor does, step by step; each returns facts as plain JSON, and the caller judges them. */

import { settled, visit, waitForAnalyses } from "./chromium.mjs";

const PHONE = { width: 390, height: 844 };

/**
 * Choose files one after the other, drop the example and paste it; then try what the page's policy forbids.
 * @param {{url: string, files: string[]}} options
 */
export async function photos({ url, files }) {
  const { page, record, close } = await visit(url);
  await waitForAnalyses(page, 1);
  const shown = [];
  for (const [index, file] of files.entries()) {
    await page.setInputFiles("#file", file);
    const analyses = await waitForAnalyses(page, index + 2);
    shown.push({ analysis: analyses.at(-1), ...(await reading(page)) });
  }
  await page.evaluate(handIn, "drop");
  await waitForAnalyses(page, files.length + 2);
  await page.evaluate(handIn, "paste");
  const analyses = await waitForAnalyses(page, files.length + 3);
  const facts = { example: analyses[0], shown, dropped: analyses.at(-2), pasted: analyses.at(-1), ...(await record()) };
  const sent = await page.evaluate(sendAway); // after the record, which is of what the page does by itself
  return { ...facts, forbidden: { sent, violations: (await close()).violations } };
}

/**
 * Look into the camera for a while.
 * @param {{url: string, video: string, warmUpFrames: number, frames: number, screenshot?: string}} options
 *   `screenshot`: where a picture of the page goes
 */
export async function camera({ url, video, warmUpFrames, frames, screenshot }) {
  const { page, close } = await visit(url, { camera: video });
  await waitForAnalyses(page, 1);
  const isHiddenBefore = await page.isHidden("#video");
  await page.click("#camera");
  await waitForAnalyses(page, 1 + warmUpFrames);
  const start = Date.now();
  const first = (await page.evaluate(() => seen.analyses.length)) - 1;
  await waitForAnalyses(page, 1 + first + frames);
  const analyses = (await page.evaluate(() => seen.analyses)).slice(1 + first);
  const seconds = (Date.now() - start) / 1000;
  if (screenshot) await page.screenshot({ path: screenshot });
  const rateShown = await page.textContent("#frame-rate");
  const said = await page.evaluate(() => seen.said);
  await page.click("#camera");
  await page.waitForSelector("#example:not([hidden])");
  const isOff = await page.evaluate(() => document.getElementById("video").srcObject === null);
  return { isHiddenBefore, isOff, analyses, seconds, rateShown, said, ...(await close()) };
}

/** What does not work is explained, and photos still do: a camera that is refused, a file that is no picture. */
export async function refusals({ url, file }) {
  const { page, close } = await visit(url, { flags: ["--use-fake-device-for-media-stream"] });
  await waitForAnalyses(page, 1);
  await page.click("#camera");
  await page.waitForSelector("#message:not([hidden])");
  const aboutCamera = await page.textContent("#message");
  const button = await page.textContent("#camera");
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
  await page.waitForFunction(() => document.getElementById("message").textContent.startsWith("notes.txt"));
  const aboutFile = await page.textContent("#message");
  await page.setInputFiles("#file", file);
  await waitForAnalyses(page, 2);
  return { aboutCamera, button, aboutFile, isMessageGone: await page.isHidden("#message"), ...(await close()) };
}

/**
 * The example, which the page reads by itself.
 * @param {{url: string, flags?: string[]}} options `flags`: of Chromium
 */
export async function example({ url, flags }) {
  const { page, close } = await visit(url, { flags });
  const [analysis] = await waitForAnalyses(page, 1);
  const isSecure = await page.evaluate(() => isSecureContext);
  await page.click("#camera");
  await page.waitForSelector("#message:not([hidden])");
  const aboutCamera = await page.textContent("#message");
  return { analysis, isSecure, aboutCamera, ...(await close()) };
}

/** A page that cannot open its model. */
export async function failure({ url }) {
  const { page, close } = await visit(url);
  await page.waitForSelector("body[data-state=failed]", { timeout: 60_000 });
  const facts = { message: await page.textContent("#message"), note: await page.textContent("#expression-note") };
  return { ...facts, analyses: await page.evaluate(() => seen.analyses.length), ...(await close()) };
}

/**
 * By keyboard on a phone-sized screen, in the dark, without motion: every stop of the Tab key, and the other face chosen.
 * @param {{url: string, file: string}} options `file`: a picture of two faces
 */
export async function keyboard({ url, file }) {
  const { page, close } = await visit(url, { size: PHONE, dark: true, reducedMotion: true });
  await waitForAnalyses(page, 1);
  await page.setInputFiles("#file", file);
  await waitForAnalyses(page, 2);
  const stops = [];
  const chosen = [];
  await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement)?.blur());
  for (let count = 0; count < 12; count++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(focused);
    if (!stop) break;
    stops.push(stop);
    if (stop.className.includes("face")) {
      await page.keyboard.press("Enter");
      chosen.push({ pressed: await page.evaluate(pressedFaces), expression: await page.textContent("#expression-note") });
    }
  }
  const layout = await page.evaluate(() => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    motion: getComputedStyle(document.querySelector(".fill")).transitionDuration,
    ground: getComputedStyle(document.body).backgroundColor,
  }));
  return { stops, chosen, layout, unnamed: await page.evaluate(unnamedControls), ...(await close()) };
}

/**
 * Many faces on narrow screens: where everything lies, what marks the chosen face, what is saved.
 * @param {{url: string, file: string, widths: number[], folder: string, screenshots?: boolean}} options
 *   `folder`: where downloads go, and pictures of the page where they are wanted
 */
export async function group({ url, file, widths, folder, screenshots: isShot }) {
  const { page, close } = await visit(url);
  await waitForAnalyses(page, 1);
  await page.setInputFiles("#file", file);
  const analyses = await waitForAnalyses(page, 2);
  const layouts = [];
  for (const width of widths) {
    await page.setViewportSize({ width, height: 740 });
    await settled(page);
    layouts.push({ width, ...(await page.evaluate(faceLayout)) });
    if (isShot) await page.screenshot({ path: `${folder}/${width}.png`, fullPage: true });
  }
  const marks = [];
  for (const choose of ['.face:nth-child(3)', '#face-list li:nth-child(6)']) {
    await page.locator(choose).click({ position: { x: 8, y: 8 } });
    await page.mouse.move(0, 0);
    marks.push({ ...(await page.evaluate(chosenMarks)), note: await page.textContent("#expression-note") });
  }
  const saved = [];
  for (const button of ["#save-picture", "#save-json"]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
    saved.push({ name: download.suggestedFilename(), path: `${folder}/${download.suggestedFilename()}` });
    await download.saveAs(`${folder}/${download.suggestedFilename()}`);
  }
  const said = await page.evaluate(() => seen.said);
  const barStarts = await page.evaluate(() => {
    const [first] = document.querySelectorAll("#bars .name");
    first.textContent = "a name longer than others";
    return Array.from(document.querySelectorAll("#bars .track"), (track) => track.getBoundingClientRect().left);
  });
  return { analysis: analyses[1], layouts, marks, saved, said, barStarts, ...(await close()) };
}

/** The example, read by the model for WebGPU, on a GPU that Chromium computes in software. */
export async function webGpu({ url }) {
  const flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
  const { page, close } = await visit(url, { flags: [...flags, "--use-vulkan=swiftshader"], hasGpu: true });
  const hasAdapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
  const [analysis] = await waitForAnalyses(page, 1);
  return { hasAdapter, analysis, card: await page.textContent("#card"), ...(await close()) };
}

/**
 * Pictures of the page for people.
 * @param {{url: string, shots: {path: string, dark: boolean, phone: boolean}[]}} options
 */
export async function screenshots({ url, shots }) {
  const facts = [];
  for (const { path, dark, phone } of shots) {
    const { page, close } = await visit(url, { dark, size: phone ? PHONE : { width: 1180, height: 880 } });
    await waitForAnalyses(page, 1);
    for (const count of [2, 3, 4]) {
      // again, so that the figures are those of code that is compiled
      await page.evaluate(() => document.getElementById("show-example").click());
      await waitForAnalyses(page, count);
    }
    await settled(page);
    await page.screenshot({ path, fullPage: phone });
    facts.push(await close());
  }
  return { shots: facts };
}

/** @param {import("playwright-core").Page} page */
async function reading(page) {
  return {
    expression: await page.textContent("#expression"),
    note: await page.textContent("#expression-note"),
    bars: await page.locator("#bars li").allInnerTexts(),
    faces: await page.locator("#faces button").evaluateAll((all) => all.map((one) => one.getAttribute("aria-label"))),
    said: await page.textContent("#announcer"),
  };
}

// What follows runs in the page.

/** @param {"drop" | "paste"} how */
async function handIn(how) {
  const bytes = await (await fetch("example.jpg")).blob();
  const data = new DataTransfer();
  data.items.add(new File([bytes], "dropped.jpg", { type: "image/jpeg" }));
  const event =
    how === "drop"
      ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
      : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
  document.body.dispatchEvent(event);
}

async function sendAway() {
  return fetch("http://127.0.0.2:9/", { mode: "no-cors" }).then(() => true, () => false);
}

function focused() {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const target = element.id === "file" ? element.nextElementSibling : element; // its label shows the focus
  const { outlineStyle, outlineWidth } = getComputedStyle(target);
  return { id: element.id, className: element.className, tag: element.tagName, outline: `${outlineStyle} ${outlineWidth}` };
}

function pressedFaces() {
  return Array.from(document.querySelectorAll(".face"), (face) => face.getAttribute("aria-pressed"));
}

/** Rectangles as [left, top, right, bottom], and the words that can be read. */
function faceLayout() {
  const corners = (element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    return [left, top, right, bottom];
  };
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  return {
    stage: corners(document.getElementById("frame")),
    faces: all(".face").map(corners),
    labels: all(".label").map((label) => ({
      corners: corners(label),
      text: label.innerText.replace(/\s+/g, " ").trim(),
      cut: label.scrollWidth - label.clientWidth,
    })),
    list: all("#face-list li").map((row) => row.innerText.replace(/\s+/g, " ").trim()),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
}

/** What of the page has the colour of the chosen face. */
function chosenMarks() {
  const colour = "rgb(255, 210, 63)";
  const has = (element, property) => getComputedStyle(element)[property] === colour;
  const indices = (selector, property) =>
    Array.from(document.querySelectorAll(selector), (element, index) => (has(element, property) ? index + 1 : 0)).filter(Boolean);
  return {
    boxes: indices(".face", "borderTopColor"),
    outlines: indices(".face", "outlineColor"),
    labels: indices(".label", "backgroundColor"),
    rows: indices("#face-list li", "backgroundColor"),
    number: has(document.getElementById("expression-number"), "backgroundColor")
      ? document.getElementById("expression-number").textContent
      : "",
  };
}

/** Controls and pictures without a name for those who do not see them. */
function unnamedControls() {
  const all = document.querySelectorAll("button, input, progress, video, canvas, img");
  const hasName = (element) =>
    element.textContent.trim() || element.getAttribute("aria-label") || element.labels?.length || element.hasAttribute("alt");
  return Array.from(all).filter((element) => !element.hidden && !hasName(element)).map((element) => element.outerHTML);
}
