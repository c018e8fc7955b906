/** Starts the system's Chromium on the page and keeps a record of what it does. */

import { chromium } from "playwright-core";

export const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";

const FLAGS = [
  "--no-sandbox", // containers run as root
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * @typedef {{
 *   requests: string[], problems: string[], workers: number,
 * }} Record `requests`: every URL asked for; `problems`: console errors, exceptions and policy violations
 */

/**
 * @param {{camera?: string, size?: {width: number, height: number}, dark?: boolean, flags?: string[]}} [options]
 *   `camera`: an .mjpeg file that plays the part of one; without it the camera is refused
 */
export async function launch({ camera, size = { width: 1280, height: 860 }, dark = false, flags = [] } = {}) {
  const fake = camera
    ? ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${camera}`]
    : [];
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: [...FLAGS, ...fake, ...flags] });
  const context = await browser.newContext({ viewport: size, colorScheme: dark ? "dark" : "light" });
  const page = await context.newPage();
  const record = { requests: [], problems: [] };
  context.on("request", (request) => record.requests.push(request.url())); // the worker's requests come here too
  page.on("pageerror", (error) => record.problems.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) record.problems.push(message.text());
  });
  await page.addInitScript(() => {
    globalThis.seen = { analyses: [], violations: [] };
    document.addEventListener("analysis", (event) => globalThis.seen.analyses.push(event.detail));
    document.addEventListener("securitypolicyviolation", (event) => globalThis.seen.violations.push(event.blockedURI));
  });
  return { browser, page, record };
}

/**
 * Wait until the page has read `count` pictures since it was opened.
 * @param {import("playwright-core").Page} page
 * @param {number} count
 */
export async function waitForAnalyses(page, count) {
  await page.waitForFunction((wanted) => globalThis.seen.analyses.length >= wanted, count, { timeout: 60_000 });
  return page.evaluate(() => globalThis.seen.analyses);
}
