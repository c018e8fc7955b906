/**
 * Pixels of one picture, and resizing it exactly as Python does.
 *
 * @typedef {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} Picture RGBA bytes, row by row;
 *   alpha is 255 everywhere, because pictures are laid on white before they get here
 */

const CHANNELS = 4;
const PRECISION_BITS = 32 - 8 - 2; // of the fixed-point weights, as in Pillow's Resample.c
const HALF = 1 << (PRECISION_BITS - 1); // rounds instead of cutting off

/**
 * From `minSide` to `maxSide` pixels on the longer side: the rule of fer_edge/runtime/detector.py, step 2.
 * @param {Picture} picture
 * @param {number} minSide
 * @param {number} maxSide
 * @returns {Picture}
 */
export function within(picture, minSide, maxSide) {
  const longer = Math.max(picture.width, picture.height);
  const scale = Math.min(Math.max(longer, minSide), maxSide) / longer;
  const width = Math.max(1, Math.floor(picture.width * scale + 0.5));
  const height = Math.max(1, Math.floor(picture.height * scale + 0.5));
  return resized(picture, width, height);
}

/**
 * Pillow's antialiased bilinear resize, bit for bit: a triangle as wide as the scale asks for, along rows first, then
 * along columns, with weights in fixed point and uint8 between the two.
 * @param {Picture} picture
 * @param {number} width
 * @param {number} height
 * @returns {Picture}
 */
export function resized(picture, width, height) {
  const narrow = width === picture.width ? picture : alongRows(picture, width);
  return height === picture.height ? narrow : alongColumns(narrow, height);
}

/**
 * A `factor`-th as wide and high: each pixel the mean of factor by factor, of fewer at the right and lower edge.
 * @param {Picture} picture
 * @param {number} factor
 * @returns {Picture}
 */
export function reduced({ data, width: oldWidth, height: oldHeight }, factor) {
  const [width, height] = [Math.ceil(oldWidth / factor), Math.ceil(oldHeight / factor)];
  const out = new Uint8Array(width * height * CHANNELS);
  for (let y = 0; y < height; y++) {
    const lastRow = Math.min(oldHeight, (y + 1) * factor);
    for (let x = 0; x < width; x++) {
      const lastColumn = Math.min(oldWidth, (x + 1) * factor);
      const area = (lastRow - y * factor) * (lastColumn - x * factor);
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        for (let row = y * factor; row < lastRow; row++) {
          for (let column = x * factor; column < lastColumn; column++) {
            sum += data[(row * oldWidth + column) * CHANNELS + channel];
          }
        }
        out[(y * width + x) * CHANNELS + channel] = Math.floor(sum / area + 0.5);
      }
    }
  }
  return { data: out, width, height };
}

/**
 * @param {Picture} picture
 * @param {number} width
 * @returns {Picture}
 */
function alongRows({ data, width: oldWidth, height }, width) {
  const out = new Uint8Array(width * height * CHANNELS).fill(255);
  const { starts, counts, weights, most } = triangles(oldWidth, width);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += CHANNELS) {
      let from = (y * oldWidth + starts[x]) * CHANNELS;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let tap = x * most; tap < x * most + counts[x]; tap++, from += CHANNELS) {
        red += data[from] * weights[tap];
        green += data[from + 1] * weights[tap];
        blue += data[from + 2] * weights[tap];
      }
      out[to] = red >> PRECISION_BITS;
      out[to + 1] = green >> PRECISION_BITS;
      out[to + 2] = blue >> PRECISION_BITS;
    }
  }
  return { data: out, width, height };
}

/**
 * @param {Picture} picture
 * @param {number} height
 * @returns {Picture}
 */
function alongColumns({ data, width, height: oldHeight }, height) {
  const out = new Uint8Array(width * height * CHANNELS).fill(255);
  const { starts, counts, weights, most } = triangles(oldHeight, height);
  const stride = width * CHANNELS;
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let tap = 0; tap < counts[y]; tap++) {
      const weight = weights[y * most + tap];
      const row = (starts[y] + tap) * stride;
      for (let at = 0; at < stride; at++) sums[at] += data[row + at] * weight;
    }
    for (let at = 0; at < stride; at++) out[y * stride + at] = sums[at] >> PRECISION_BITS;
  }
  return { data: out, width, height };
}

/**
 * For each new pixel: where it starts to look, at how many old pixels, and what each of them weighs.
 * @param {number} oldSize
 * @param {number} size
 */
function triangles(oldSize, size) {
  const scale = oldSize / size;
  const reach = Math.max(scale, 1);
  const most = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(size);
  const counts = new Int32Array(size);
  const weights = new Int32Array(size * most);
  for (let to = 0; to < size; to++) {
    const centre = (to + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(oldSize, Math.trunc(centre + reach + 0.5)) - start;
    const shares = Array.from({ length: count }, (_, at) =>
      Math.max(0, 1 - Math.abs((start + at - centre + 0.5) / reach)),
    );
    const sum = shares.reduce((total, share) => total + share, 0);
    shares.forEach((share, at) => (weights[to * most + at] = Math.trunc(0.5 + (share / sum) * (1 << PRECISION_BITS))));
    starts[to] = start;
    counts[to] = count;
  }
  return { starts, counts, weights, most };
}
