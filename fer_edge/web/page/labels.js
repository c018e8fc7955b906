/**
 * Where the names of faces go, so that none leaves the picture, lies on another or hides another face: full names where
 * there is room for all, else the chosen face's, and numbers, which the list below the picture explains.
 *
 * @typedef {import("./detector.js").Box} Box
 * @typedef {{left: number, top: number, width: number, height: number, isShort: boolean}} Label in the boxes' pixels
 */

const GAP = 0.15; // between a label and what it must not touch, in heights of a label

/**
 * @param {Box[]} boxes the faces, in pixels of the stage
 * @param {{full: number[], short: number[], height: number}} size widths of each face's labels, and the height of all
 * @param {{width: number, height: number}} stage
 * @param {number} chosen index of the face that comes first where room is scarce; -1: none
 * @returns {Label[]}
 */
export function placeLabels(boxes, size, stage, chosen) {
  const gap = GAP * size.height;
  const rectangle = (/** @type {number} */ width, /** @type {{left: number, top: number}} */ place) => ({
    x: place.left,
    y: place.top,
    width,
    height: size.height,
  });
  /** @type {Label[]} */
  const labels = [];
  const isFree = (/** @type {Box} */ where, /** @type {number} */ own, /** @type {boolean} */ mayHideFaces) =>
    where.x >= 0 &&
    where.y >= 0 &&
    where.x + where.width <= stage.width &&
    where.y + where.height <= stage.height &&
    labels.every((label, index) => index === own || !touches(where, asBox(label), gap / 2)) &&
    (mayHideFaces || boxes.every((box, index) => index === own || !touches(where, box, 0)));

  // Numbers first, one a face: there is room for them wherever there is room for faces.
  boxes.forEach((box, index) => {
    const width = size.short[index];
    const places = placesFor(box, width, size.height, stage, gap);
    const find = (/** @type {boolean} */ mayHideFaces) =>
      places.find((place) => isFree(rectangle(width, place), index, mayHideFaces));
    const place = find(false) ?? find(true) ?? clamped({ left: box.x, top: box.y }, width, size.height, stage);
    labels.push({ ...place, width, height: size.height, isShort: true });
  });
  const numbers = [...labels];
  const grow = (/** @type {number} */ index) => {
    const width = size.full[index];
    const places = placesFor(boxes[index], width, size.height, stage, gap);
    const place = places.find((one) => isFree(rectangle(width, one), index, false));
    if (place) labels[index] = { ...place, width, height: size.height, isShort: false };
    return place !== undefined;
  };
  const all = boxes.map((_, index) => index).sort((one, other) => Number(other === chosen) - Number(one === chosen));
  if (!all.every(grow)) {
    labels.splice(0, labels.length, ...numbers); // some names and some numbers would be a muddle
    if (chosen >= 0) grow(chosen);
  }
  return labels;
}

/**
 * Above the face, below it, then on its own lower and upper edge; each from its left, its middle and its right.
 * @param {Box} box
 * @param {number} width
 * @param {number} height
 * @param {{width: number, height: number}} stage
 * @param {number} gap
 */
function placesFor(box, width, height, stage, gap) {
  const lefts = [box.x, box.x + (box.width - width) / 2, box.x + box.width - width];
  const outside = [box.y - height - gap, box.y + box.height + gap];
  const inside = [box.y + box.height - height - gap, box.y + gap];
  return [...outside, ...inside].flatMap((top) =>
    lefts.map((left) => ({ left: clamped({ left, top }, width, height, stage).left, top })),
  );
}

/**
 * @param {{left: number, top: number}} place
 * @param {number} width
 * @param {number} height
 * @param {{width: number, height: number}} stage
 */
function clamped({ left, top }, width, height, stage) {
  return {
    left: Math.max(0, Math.min(left, stage.width - width)),
    top: Math.max(0, Math.min(top, stage.height - height)),
  };
}

/**
 * @param {Box} one
 * @param {Box} other
 * @param {number} gap
 */
function touches(one, other, gap) {
  return (
    one.x < other.x + other.width + gap &&
    other.x < one.x + one.width + gap &&
    one.y < other.y + other.height + gap &&
    other.y < one.y + one.height + gap
  );
}

/** @param {Label} label @returns {Box} */
function asBox({ left, top, width, height }) {
  return { x: left, y: top, width, height };
}
