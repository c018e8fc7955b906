/**
 * Steadies faces from frame to frame, so that bars do not flicker. Photos are shown as they are measured.
 *
 * @typedef {import("./worker.js").FaceReading} FaceReading
 */

import { overlap } from "./detector.js";

const SAME_FACE = 0.3; // overlap (intersection over union) above which two boxes are one face on the move

/**
 * Each face of `now`, mixed with the face of `before` that it was.
 * @param {FaceReading[]} before as this function returned it
 * @param {FaceReading[]} now
 * @param {number} share of the newest values, 0-1
 * @returns {FaceReading[]}
 */
export function steadied(before, now, share) {
  return now.map((face) => {
    const old = nearest(before, face);
    if (!old) return face;
    const mix = (/** @type {number} */ from, /** @type {number} */ to) => from + share * (to - from);
    return { ...face, probabilities: face.probabilities.map((value, at) => mix(old.probabilities[at], value)) };
  });
}

/**
 * The face that overlaps most with `face`, or none.
 * @param {FaceReading[]} faces
 * @param {FaceReading} face
 * @returns {FaceReading | undefined}
 */
export function nearest(faces, face) {
  const overlaps = faces.map((other) => overlap(other.box, face.box));
  const most = Math.max(...overlaps, 0);
  return most > SAME_FACE ? faces[overlaps.indexOf(most)] : undefined;
}
