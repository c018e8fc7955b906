/**
 * What to do next, in words that fit what is on the stage.
 *
 * @typedef {import("./worker.js").Analysis} Analysis
 */

const SMALL = 64; // pixels of the longer side: a picture in which a searched face would be a few pixels wide

/**
 * Where no face was found.
 * @param {Analysis} analysis
 * @param {boolean} isLive whether it is the camera's
 */
export function hintWithoutFace({ width, height }, isLive) {
  if (isLive) return "Turn towards the camera and the light, or come closer.";
  if (Math.max(width, height) < SMALL) return `The picture has only ${width} × ${height} pixels; choose a larger one.`;
  return "Faces that are small, turned away, covered or lying on their side may be missed; try a picture with a clearer one.";
}

/**
 * Beside the percentage of a face.
 * @param {Analysis} analysis
 * @param {number} index of the chosen face
 * @param {boolean} isLive
 */
export function hintForFace({ faces, cropReason }, index, isLive) {
  if (cropReason === "filled") return "taken as one face: it fills the picture";
  if (cropReason) return "taken as one face: the picture is small";
  if (faces.length === 1) return "";
  const choose = faces.length === 2 ? "choose the other" : "choose another";
  return `face ${index + 1} of ${faces.length}; ${choose} ${isLive ? "while you watch" : "on the picture"}`;
}
