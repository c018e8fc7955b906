import { launch, waitForAnalyses } from "./chromium.mjs";
const [url, out] = process.argv.slice(2);
for (const [name, options] of Object.entries({ light: {}, dark: { dark: true }, phone: { size: { width: 390, height: 844 } } })) {
  const { browser, page, record } = await launch(options);
  await page.goto(url);
  await waitForAnalyses(page, 1).catch((e) => console.log(String(e)));
  const a = await page.evaluate(() => globalThis.seen);
  console.log(name, JSON.stringify(a), record.problems, record.requests.length);
  await page.screenshot({ path: `${out}/${name}.png`, fullPage: name === "phone" });
  await browser.close();
}
