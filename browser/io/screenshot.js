// A film within the window of a viewer: found, and cut out. What is left beside areas of exactly one
// grey that is neither black nor white, without letters and lines, is the film.

import { say } from './errors.js';

// A picture of 8 bits, or the film that a screenshot shows; `facts.screenshot` is its box, or empty.
export function filmAlone(film, rules) {
  const grey = Uint8Array.from(film.data, (v) => Math.round(255 * v));
  const { height, width } = film;
  const shades = windowShades(grey, height, width, rules);
  if (!shades.length) return film;
  const box = findFilm(grey, height, width, shades, rules);
  if (!box) {
    const warnings = [...film.warnings, say('screenshot unclear')];
    return { ...film, facts: { ...film.facts, screenshot: [] }, warnings };
  }
  const [x, y, columns, rows] = box;
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const start = (y + row) * width + x;
    data.set(film.data.subarray(start, start + columns), row * columns);
  }
  return {
    ...film, data, height: rows, width: columns, facts: { ...film.facts, screenshot: box },
    warnings: [...film.warnings, say('screenshot')],
  };
}

// The greys of a viewer's window; none when the picture is no screenshot.
function windowShades(grey, height, width, rules) {
  if (Math.min(height, width) < rules.least_screen) return [];
  const side = rules.block;
  const [rows, columns] = [Math.floor(height / side), Math.floor(width / side)];
  const counts = new Float64Array(256);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const shade = grey[row * side * width + column * side];
      if (isEven(grey, width, row * side, column * side, side, shade)) counts[shade] += 1;
    }
  }
  const share = counts.map((count) => count / (rows * columns));
  const rim = new Float64Array(256);
  const count = (index) => { rim[grey[index]] += 1 / (2 * (height + width)); };
  for (let x = 0; x < width; x++) {
    count(x);
    count((height - 1) * width + x);
  }
  for (let y = 0; y < height; y++) {
    count(y * width);
    count(y * width + width - 1);
  }
  const shades = [];
  for (let shade = rules.least_shade; shade < rules.most_shade; shade++) {
    let near = 0;
    for (const step of [-2, -1, 1, 2]) near += share[shade + step] ?? 0;
    const alone = share[shade] >= rules.least_area && near < rules.least_alone * share[shade]
      && rim[shade] >= rules.least_area;
    if (alone) shades.push(shade);
  }
  const covered = shades.reduce((sum, shade) => sum + share[shade], 0);
  const apart = shades.length ? shades.at(-1) - shades[0] : 0;
  return shades.length < 2 || apart < rules.least_apart || covered < rules.least_share ? [] : shades;
}

function isEven(grey, width, top, left, side, shade) {
  for (let y = top; y < top + side; y++) {
    for (let x = left; x < left + side; x++) if (grey[y * width + x] !== shade) return false;
  }
  return true;
}

// [x, y, width, height] of the film in a screenshot; null where there is none, or more than one.
function findFilm(grey, height, width, shades, rules) {
  const window = new Set(shades);
  let apart = Uint8Array.from(grey, (shade) => (window.has(shade) ? 0 : 1));
  // A film has such greys here and there as well: close those, then take letters away.
  apart = spread(spread(apart, height, width, 1, 1), height, width, 1, 0);
  const reach = (rules.letters - 1) / 2;
  const solid = spread(spread(apart, height, width, reach, 0), height, width, reach, 1);
  const found = components(solid, height, width).sort((a, b) => b.area - a.area);
  if (!found.length || (found.length > 1 && found[1].area > rules.second * found[0].area)) return null;
  const { left, top, right, bottom, area } = found[0];
  const [columns, rows] = [right - left + 1, bottom - top + 1];
  if (area < rules.least_filled * columns * rows || columns * rows < rules.least_film * height * width
    || Math.min(columns, rows) < rules.least_side) return null;
  return [left, top, columns, rows];
}

// Every pixel becomes `value` that has one of that value within `reach`; the rim counts as neither.
function spread(picture, height, width, reach, value) {
  const across = new Uint8Array(picture.length);
  const out = new Uint8Array(picture.length);
  const line = (from, to, start, step, length) => {
    let last = -Infinity;
    let next = 0;
    for (let i = 0; i < length; i++) {
      if (next < i) next = i;
      while (next < length && from[start + next * step] !== value) next += 1;
      if (from[start + i * step] === value) last = i;
      to[start + i * step] = i - last <= reach || next - i <= reach ? value : 1 - value;
      if (next >= length && i - last > reach) to[start + i * step] = 1 - value;
    }
  };
  for (let y = 0; y < height; y++) line(picture, across, y * width, 1, width);
  for (let x = 0; x < width; x++) line(across, out, x, width, height);
  return out;
}

// Areas of ones that hang together by their sides.
function components(picture, height, width) {
  const seen = new Uint8Array(picture.length);
  const found = [];
  for (let start = 0; start < picture.length; start++) {
    if (!picture[start] || seen[start]) continue;
    const area = { left: width, top: height, right: 0, bottom: 0, area: 0 };
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const at = stack.pop();
      const y = Math.floor(at / width);
      const x = at - y * width;
      area.area += 1;
      area.left = Math.min(area.left, x);
      area.right = Math.max(area.right, x);
      area.top = Math.min(area.top, y);
      area.bottom = Math.max(area.bottom, y);
      for (const [next, inside] of [[at - 1, x > 0], [at + 1, x < width - 1], [at - width, y > 0], [at + width, y < height - 1]]) {
        if (inside && picture[next] && !seen[next]) {
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    found.push(area);
  }
  return found;
}
