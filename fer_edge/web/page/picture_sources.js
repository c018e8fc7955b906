/** Pictures from the visitor: chosen, dropped or pasted. They are opened here and never leave the page. */

const MAX_SIDE = 4096;
/** Above it phones run out of canvas; a face that is found at 640 pixels loses nothing. */

/**
 * Call `onFile` for every picture the visitor hands in.
 * @param {{input: HTMLInputElement, dropArea: HTMLElement, onFile: (file: File) => void, onOther: () => void}} options
 *   `onOther`: something was dropped that is no file
 */
export function listenForPictures({ input, dropArea, onFile, onOther }) {
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) onFile(file);
    input.value = ""; // the same file may be chosen again
  });
  let depth = 0; // dragenter and dragleave fire for every element on the way
  const mark = (/** @type {number} */ change) => {
    depth = change === 0 ? 0 : depth + change;
    dropArea.classList.toggle("is-dropping", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault()); // else the browser opens the file
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(0);
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
    else onOther();
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) onFile(file);
  });
}

/**
 * Open a picture upright. Throws an Error that explains itself.
 * @param {Blob} blob
 * @param {string} name
 */
export async function openPicture(blob, name) {
  let bitmap;
  try {
    // The pixels as they are stored, as Python reads them: no colour profile is applied.
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error(`${name}: expected a picture (JPEG, PNG, WebP, GIF, AVIF), found something this browser cannot open.`);
  }
  const scale = MAX_SIDE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return bitmap;
  const smaller = await createImageBitmap(bitmap, {
    resizeWidth: Math.round(bitmap.width * scale),
    resizeHeight: Math.round(bitmap.height * scale),
    resizeQuality: "high",
  });
  bitmap.close();
  return smaller;
}
