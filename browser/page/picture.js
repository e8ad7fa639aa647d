// Pictures of a film for the viewer, the worklist and the printed sheet.

import { areaWeights, resample } from '../model/letterbox.js';

// Browsers refuse larger canvases, phones first.
const MOST_PIXELS = 16_000_000;

// The film with its longest side at most `side` pixels; never enlarged.
function shrink(film, side) {
  const factor = side / Math.max(film.height, film.width);
  if (factor >= 1) return film;
  const size = (length) => Math.max(1, Math.round(length * factor));
  return resample(
    film, areaWeights(film.height, size(film.height)), areaWeights(film.width, size(film.width)),
  );
}

// The viewer's film: grey levels of 8 bits, or of 16 where the file has more than 8.
export function filmLayer(film) {
  const factor = Math.sqrt(MOST_PIXELS / (film.height * film.width));
  const small = factor < 1 ? shrink(film, Math.floor(factor * Math.max(film.height, film.width))) : film;
  const deep = film.facts.bits > 8;
  const [Kind, top] = deep ? [Uint16Array, 65535] : [Uint8Array, 255];
  const values = new Kind(small.data.length);
  for (let i = 0; i < values.length; i++) values[i] = Math.round(top * small.data[i]);
  return { deep, layer: { width: small.width, height: small.height, values } };
}

// A canvas of the film with its heat and, with `boxes`, its regions.
export function overlay(film, reading, settings, { side, heat = true, boxes = false }) {
  const { calibration } = reading;
  const { table } = settings;
  const small = shrink(film, side);
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [small.width, small.height];
  const context = canvas.getContext('2d');
  const image = context.createImageData(small.width, small.height);
  const low = calibration.display_threshold;
  for (let y = 0; y < small.height; y++) {
    const row = Math.min(reading.heat.height - 1, Math.floor((y / small.height) * reading.heat.height));
    for (let x = 0; x < small.width; x++) {
      const at = y * small.width + x;
      const grey = 255 * small.data[at];
      const column = Math.min(reading.heat.width - 1, Math.floor((x / small.width) * reading.heat.width));
      const value = heat ? reading.heat.data[row * reading.heat.width + column] / 255 : 0;
      const above = Math.max(0, (value - low) / Math.max(1 - low, 1e-6));
      const alpha = 0.5 * Math.sqrt(above);
      const shade = 3 * Math.round(255 * above);
      for (let c = 0; c < 3; c++) {
        image.data[4 * at + c] = Math.round(grey * (1 - alpha) + table[shade + c] * alpha);
      }
      image.data[4 * at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  if (boxes) drawBoxes(context, reading, small.width / film.width);
  return canvas;
}

function drawBoxes(context, { regions, calibration: { rule_in } }, scale) {
  regions.forEach((region, i) => {
    for (const [colour, width] of [['#000000', 4], ['#ffffff', 2]]) {
      context.setLineDash(region.score >= rule_in || width === 4 ? [] : [6, 4]);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(...[region.x, region.y, region.width, region.height].map((v) => v * scale));
    }
    context.font = '700 14px system-ui, sans-serif';
    context.lineWidth = 3;
    context.setLineDash([]);
    context.strokeStyle = '#000000';
    context.fillStyle = '#ffffff';
    const at = [region.x * scale, Math.max(14, region.y * scale - 4)];
    context.strokeText(String(i + 1), ...at);
    context.fillText(String(i + 1), ...at);
  });
}
