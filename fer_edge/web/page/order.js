/**
 * The order in which faces are numbered: as one reads, row by row from above, each row from left to right.
 *
 * @typedef {import("./detector.js").Box} Box
 */

const SAME_ROW = 0.75;

/**
 * The rows of a picture, the upper first, each from left to right. A face belongs to a row where its middle is no
 * further from the row's than three quarters of a face's height: heads of one row are not all of one height.
 * @template {{box: Box}} Face
 * @param {Face[]} faces
 * @returns {Face[][]}
 */
export function rowsOf(faces) {
  /** @type {Face[][]} */
  const rows = [];
  for (const face of [...faces].sort((one, other) => middle(one) - middle(other))) {
    const row = rows.at(-1);
    const height = mean([...(row ?? []), face].map(({ box }) => box.height));
    const isSameRow = row && middle(face) - mean(row.map(middle)) < SAME_ROW * height;
    if (isSameRow) row.push(face);
    else rows.push([face]);
  }
  for (const row of rows) row.sort((one, other) => one.box.x - other.box.x);
  return rows;
}

/**
 * @template {{box: Box}} Face
 * @param {Face[]} faces
 */
export function inReadingOrder(faces) {
  return rowsOf(faces).flat();
}

/** @param {{box: Box}} face */
function middle({ box }) {
  return box.y + box.height / 2;
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
