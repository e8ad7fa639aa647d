// The places that are shown: what hangs together around a peak of the evidence.

import { probability } from './calibration.js';
import { boxToFilm, enlarge } from './letterbox.js';

// Strongest first; each at least as probable as the display threshold and a share of the strongest.
export function findRegions(config, box, evidence) {
  const { calibration, regions } = config;
  const shown = [];
  for (const region of candidates(config, box, evidence)) {
    const strongest = (shown[0] ?? region).score;
    if (region.score < Math.max(calibration.display_threshold, regions.faint * strongest)) break;
    shown.push(region);
  }
  return shown;
}

function* candidates({ calibration, regions }, box, evidence) {
  const whole = enlarge(evidence, regions.fine);
  const step = box.canvas[0] / whole.height;
  const [height, width] = box.inner.map((side) => Math.ceil(side / step)); // not in the padding
  const fine = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    fine.set(whole.data.subarray(y * whole.width, y * whole.width + width), y * width);
  }
  const taken = new Uint8Array(height * width);
  let found = 0;
  for (const peak of peaks(fine, height, width)) {
    if (taken[peak]) continue;
    const hill = flood(fine, height, width, peak, calibration.extent);
    const own = !hill.cells.some((cell) => taken[cell]);
    hill.cells.forEach((cell) => { taken[cell] = 1; });
    if (own) {
      const place = boxToFilm(box, {
        x: hill.left * step, y: hill.top * step,
        width: (hill.right - hill.left + 1) * step, height: (hill.bottom - hill.top + 1) * step,
      });
      yield { ...within(place, box), score: probability(calibration.location, fine[peak]) };
      found += 1;
    }
    if (found === regions.most) return;
  }
}

// Cells that no neighbour exceeds, highest first; equal ones row by row.
function peaks(fine, height, width) {
  const found = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = fine[y * width + x];
      let highest = true;
      for (let v = Math.max(0, y - 1); highest && v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          if (fine[v * width + u] > value) { highest = false; break; }
        }
      }
      if (highest) found.push(y * width + x);
    }
  }
  return found.sort((a, b) => fine[b] - fine[a]);
}

// All cells joined to `seed`, also diagonally, that lie at most `extent` below it.
function flood(fine, height, width, seed, extent) {
  const seen = new Uint8Array(height * width);
  const cells = [seed];
  const hill = { cells, left: width, right: 0, top: height, bottom: 0 };
  seen[seed] = 1;
  for (let next = 0; next < cells.length; next++) {
    const y = Math.floor(cells[next] / width);
    const x = cells[next] - y * width;
    hill.left = Math.min(hill.left, x);
    hill.right = Math.max(hill.right, x);
    hill.top = Math.min(hill.top, y);
    hill.bottom = Math.max(hill.bottom, y);
    for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
      for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
        const cell = v * width + u;
        if (!seen[cell] && fine[cell] - fine[seed] >= -extent) {
          seen[cell] = 1;
          cells.push(cell);
        }
      }
    }
  }
  return hill;
}

function within({ x, y, width, height }, box) {
  const left = Math.max(x, 0);
  const top = Math.max(y, 0);
  return {
    x: left, y: top,
    width: Math.min(x + width, box.width) - left, height: Math.min(y + height, box.height) - top,
  };
}
