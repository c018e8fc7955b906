/** Opens the page in the system's Chromium and keeps a record of what it does. */

import { chromium } from "playwright-core";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE_MS = 90_000;

const FLAGS = [
  "--no-sandbox", // containers run as root
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * @param {string} url
 * @param {{
 *   camera?: string, size?: {width: number, height: number}, dark?: boolean, reducedMotion?: boolean, flags?: string[],
 *   hasGpu?: boolean,
 * }} [options] `camera`: an .mjpeg file that plays the part of one; without it there is none
 */
export async function visit(url, options = {}) {
  const { camera, size = { width: 1280, height: 860 }, dark, reducedMotion, flags = [], hasGpu } = options;
  const args = [...FLAGS, ...flags, ...(hasGpu ? [] : ["--disable-gpu"])];
  if (camera) {
    args.push("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream");
    args.push(`--use-file-for-fake-video-capture=${camera}`);
  }
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args });
  const context = await browser.newContext({
    viewport: size,
    colorScheme: dark ? "dark" : "light",
    reducedMotion: reducedMotion ? "reduce" : "no-preference",
  });
  const page = await context.newPage();
  /** @type {string[]} */
  const requests = [];
  /** @type {string[]} */
  const problems = [];
  context.on("request", (request) => requests.push(request.url())); // the worker's, too
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(message.text());
  });
  await page.addInitScript(watch);
  await page.goto(url);
  /** What the browser did so far: URLs, console errors, violations of the content-security policy. */
  const record = async () => ({
    requests: [...requests],
    problems: [...problems],
    violations: await page.evaluate(() => seen.violations),
  });
  const close = async () => {
    const facts = await record();
    await browser.close();
    return facts;
  };
  return { page, record, close };
}

/**
 * Wait until the page has read `count` pictures since it was opened; all it found. Throws what the page says it lacks.
 * @param {import("playwright-core").Page} page
 * @param {number} count
 */
export async function waitForAnalyses(page, count) {
  const hasEnough = (wanted) => seen.analyses.length >= wanted || document.body.dataset.state === "failed";
  await page.waitForFunction(hasEnough, count, { timeout: PATIENCE_MS });
  const analyses = await page.evaluate(() => seen.analyses);
  if (analyses.length < count) throw new Error(await page.textContent("#message"));
  return analyses;
}

/**
 * Wait for what moves to stand still.
 * @param {import("playwright-core").Page} page
 */
export async function settled(page) {
  await page.waitForTimeout(400);
}

/** In the page, before its own scripts: note what it reads, says and is refused. */
function watch() {
  const seen = { analyses: [], violations: [], said: [] };
  globalThis.seen = seen;
  document.addEventListener("analysis", (event) => seen.analyses.push(event.detail));
  document.addEventListener("securitypolicyviolation", (event) => seen.violations.push(event.violatedDirective));
  document.addEventListener("DOMContentLoaded", () => {
    const announcer = document.getElementById("announcer");
    const note = () => seen.said.push({ text: announcer.textContent, at: performance.now() });
    new MutationObserver(note).observe(announcer, { childList: true, characterData: true, subtree: true });
  });
}
