// Letterbox and its exact inverse, as `detector` has them: the film's longest side becomes
// `size`, padded with black at the right and the bottom to multiples of 32.
// Pictures are { data: Float32Array, height, width }, rows first.

const MULTIPLE = 32;
const MOST_ENLARGED = 1.2; // canvas pixels per film pixel

// Python's round: halves go to the even number.
export function round(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

// `aspect`: height of a film pixel over its width; such a film is square on the canvas.
export function fit(height, width, size, aspect = 1) {
  const factor = Math.min(size / Math.max(height * aspect, width), MOST_ENLARGED);
  const inner = [Math.max(1, round(height * aspect * factor)), Math.max(1, round(width * factor))];
  const canvas = inner.map((side) => Math.ceil(side / MULTIPLE) * MULTIPLE);
  return { height, width, inner, canvas, scale: [inner[0] / height, inner[1] / width] };
}

// Film -> canvas; area-averaged when it shrinks, else bilinear. Of pixels that are not square, one
// side may grow while the other shrinks.
export function apply(box, film) {
  const [rows, columns] = box.inner;
  let small = film;
  if (rows < box.height || columns < 0.9 * box.width) {
    small = resample(
      film, areaWeights(box.height, Math.min(rows, box.height)),
      areaWeights(box.width, Math.min(columns, box.width)),
    );
  }
  if (small.height !== rows || small.width !== columns) {
    small = resample(small, linearWeights(small.height, rows), linearWeights(small.width, columns));
  }
  const out = new Float32Array(box.canvas[0] * box.canvas[1]);
  for (let row = 0; row < box.inner[0]; row++) {
    out.set(small.data.subarray(row * box.inner[1], (row + 1) * box.inner[1]), row * box.canvas[1]);
  }
  return { data: out, height: box.canvas[0], width: box.canvas[1] };
}

// For each target sample the first source sample and the weights from there on. As OpenCV does it:
// a share of a source sample below a thousandth is left out.
export function areaWeights(from, to) {
  const step = 1 / (to / from);
  return Array.from({ length: to }, (_, i) => {
    const low = i * step;
    const high = low + step;
    const cell = Math.min(step, from - low);
    const last = Math.min(Math.floor(high), from - 1);
    const first = Math.min(Math.ceil(low), last);
    const weights = Array(last - first).fill(1 / cell);
    const before = first - low > 1e-3;
    if (before) weights.unshift((first - low) / cell);
    if (high - last > 1e-3) weights.push(Math.min(high - last, 1, cell) / cell);
    return [before ? first - 1 : first, Float32Array.from(weights)];
  });
}

export function linearWeights(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const at = ((i + 0.5) * from) / to - 0.5;
    const first = Math.floor(at);
    if (first < 0) return [0, Float32Array.of(1)];
    if (first >= from - 1) return [from - 1, Float32Array.of(1)];
    return [first, Float32Array.of(1 - (at - first), at - first)];
  });
}

export function resample({ data, width }, rows, columns) {
  const out = new Float32Array(rows.length * columns.length);
  const line = new Float32Array(width);
  rows.forEach(([first, weights], row) => {
    line.fill(0);
    weights.forEach((weight, offset) => {
      const start = (first + offset) * width;
      for (let x = 0; x < width; x++) line[x] += weight * data[start + x];
    });
    const target = row * columns.length;
    for (let i = 0; i < columns.length; i++) {
      const [begin, share] = columns[i];
      let sum = 0;
      for (let k = 0; k < share.length; k++) sum += share[k] * line[begin + k];
      out[target + i] = sum;
    }
  });
  return { data: out, height: rows.length, width: columns.length };
}

// Keys' cubic convolution (1981) with a = -0.75, as a list of [indices, weights].
function cubicWeights(at) {
  const a = -0.75;
  const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  const first = Math.floor(at);
  const t = at - first;
  return [first, [far(1 + t), near(t), near(1 - t), far(2 - t)]];
}

function cubic(count, size, position, border) {
  return Array.from({ length: size }, (_, i) => {
    const [first, weights] = cubicWeights(position(i));
    return { weights, index: [-1, 0, 1, 2].map((offset) => border(first + offset, count)) };
  });
}

const mirrored = (index, count) => {
  const positive = Math.abs(index);
  const back = positive < count ? positive : 2 * (count - 1) - positive;
  return Math.max(0, Math.min(count - 1, back));
};
const clamped = (index, count) => Math.max(0, Math.min(count - 1, index));

function interpolate({ data, width }, rows, columns) {
  const out = new Float32Array(rows.length * columns.length);
  const line = new Float32Array(width);
  rows.forEach((row, y) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += row.weights[k] * data[row.index[k] * width + x];
      line[x] = sum;
    }
    columns.forEach((column, x) => {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += column.weights[k] * line[column.index[k]];
      out[y * columns.length + x] = sum;
    });
  });
  return { data: out, height: rows.length, width: columns.length };
}

// A map over the canvas -> `rows` x `columns` samples spread evenly over the film. Beyond the ends
// the map is mirrored.
export function mapToFilm(box, map, rows, columns) {
  const stepY = ((map.height / box.canvas[0]) * box.inner[0]) / rows;
  const stepX = ((map.width / box.canvas[1]) * box.inner[1]) / columns;
  return interpolate(
    map,
    cubic(map.height, rows, (i) => (i + 0.5) * stepY - 0.5, mirrored),
    cubic(map.width, columns, (i) => (i + 0.5) * stepX - 0.5, mirrored),
  );
}

// Enlarged by a whole number, the outermost samples repeated beyond the ends.
export function enlarge(map, factor) {
  const at = (i) => (i + 0.5) / factor - 0.5;
  return interpolate(
    map,
    cubic(map.height, map.height * factor, at, clamped),
    cubic(map.width, map.width * factor, at, clamped),
  );
}

export function boxToFilm({ scale: [down, across] }, { x, y, width, height }) {
  return { x: x / across, y: y / down, width: width / across, height: height / down };
}
