/**
 * Which pictures are one face already: the rule of fer_edge/runtime/whole_faces.py, which says what each number means.
 *
 * @typedef {import("./detector.js").Face} Face
 * @typedef {{width: number, height: number}} Size
 * @typedef {{maxUnsearchedSide: number, minFill: number, maxShift: number, squareTolerance: number}} CropSettings
 */

/**
 * Whether a picture is too small to be searched.
 * @param {Size} picture
 * @param {CropSettings} settings
 */
export function isSmallCrop({ width, height }, { maxUnsearchedSide }) {
  return Math.max(width, height) <= maxUnsearchedSide;
}

/**
 * Whether the faces found in a picture are one that fills it.
 * @param {Size} picture
 * @param {Face[]} faces
 * @param {CropSettings} settings
 */
export function isFilled({ width, height }, faces, { minFill, maxShift, squareTolerance }) {
  if (faces.length !== 1) return false;
  const [{ box }] = faces;
  const side = Math.max(width, height);
  const isSquare = side - Math.min(width, height) <= squareTolerance * side;
  const across = Math.abs(box.x + box.width / 2 - width / 2);
  const down = Math.abs(box.y + box.height / 2 - height / 2);
  return isSquare && Math.max(across, down) <= maxShift * side && Math.max(box.width, box.height) >= minFill * side;
}

/**
 * @param {Size} picture
 * @returns {Face}
 */
export function wholeFace({ width, height }) {
  return { box: { x: 0, y: 0, width, height }, landmarks: [], score: 1 };
}
