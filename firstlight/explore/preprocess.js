// Prepare a drawing as the digits of MNIST were prepared.

export const SIDE = 28;  // pixels of the network's picture
const BOX = 20;  // MNIST's digits fill a box of this many pixels, inside the 28

// Scale the ink's bounding box into 20 x 20, keeping its proportions, then place it in 28 x 28 so that
// the centre of mass is in the middle, as far as the box stays inside. `gray` is 0..255, row by row;
// the result is 784 bytes, or null if there is no ink.
export function preprocess(gray, width, height) {
  const ink = boundingBox(gray, width, height);
  if (!ink) return null;
  const scale = BOX / Math.max(ink.width, ink.height);
  const wide = Math.max(1, Math.round(ink.width * scale));
  const high = Math.max(1, Math.round(ink.height * scale));
  const small = shrink(gray, width, ink, wide, high);
  const [x, y] = centreOfMass(small, wide, high);
  const left = Math.min(SIDE - wide, Math.max(0, Math.round(SIDE / 2 - x)));
  const top = Math.min(SIDE - high, Math.max(0, Math.round(SIDE / 2 - y)));
  const picture = new Uint8Array(SIDE * SIDE);
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      picture[(top + row) * SIDE + left + column] = Math.round(small[row * wide + column]);
    }
  }
  return picture;
}

function boundingBox(gray, width, height) {
  let left = width, right = -1, top = height, bottom = -1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!gray[y * width + x]) continue;
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

// Every new pixel is the mean over the rectangle it covers: first along the rows, then along the columns.
function shrink(gray, stride, ink, wide, high) {
  const columns = coverage(ink.width, wide);
  const rows = coverage(ink.height, high);
  const narrow = new Float64Array(ink.height * wide);
  for (let y = 0; y < ink.height; y++) {
    const start = (ink.top + y) * stride + ink.left;
    for (let column = 0; column < wide; column++) {
      const { first, shares } = columns[column];
      let sum = 0;
      for (let k = 0; k < shares.length; k++) sum += shares[k] * gray[start + first + k];
      narrow[y * wide + column] = sum;
    }
  }
  const small = new Float64Array(high * wide);
  rows.forEach(({ first, shares }, row) => shares.forEach((share, k) => {
    for (let column = 0; column < wide; column++) small[row * wide + column] += share * narrow[(first + k) * wide + column];
  }));
  return small;
}

// For each of `to` pixels: the first of the `from` pixels it covers, and the share of that and the next ones.
function coverage(from, to) {
  const size = from / to;
  return Array.from({ length: to }, (_, pixel) => {
    const start = pixel * size, end = start + size;
    const first = Math.floor(start);
    const shares = [];
    for (let x = first; x < Math.min(from, end); x++) shares.push((Math.min(end, x + 1) - Math.max(start, x)) / size);
    return { first, shares };
  });
}

function centreOfMass(values, width, height) {
  let mass = 0, x = 0, y = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column];
      mass += value;
      x += value * column;
      y += value * row;
    }
  }
  return [x / mass, y / mass];
}
