// Which way a picture is up: EXIF orientation 1 to 8 (tag 0x0112); damaged EXIF counts as upright.

import { text } from '../recognise.js';

// `exif` starts at the TIFF header.
export function orientation(exif) {
  const order = text(exif, 0, 2);
  if (order !== 'II' && order !== 'MM') return 1;
  const little = order === 'II';
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const start = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(start, little); i++) {
      const at = start + 2 + 12 * i;
      if (view.getUint16(at, little) === 0x0112) return view.getUint16(at + 8, little);
    }
  } catch { /* cut short */ }
  return 1;
}

// Grey levels (Float32Array) put upright; returns data, height and width.
export function upright({ data, height, width }, turn) {
  if (!(turn >= 2 && turn <= 8)) return { data, height, width };
  const swaps = turn >= 5;
  const [rows, columns] = swaps ? [width, height] : [height, width];
  const out = new Float32Array(data.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [v, u] = source(turn, y, x, height, width);
      out[y * columns + x] = data[v * width + u];
    }
  }
  return { data: out, height: rows, width: columns };
}

function source(turn, y, x, height, width) {
  switch (turn) {
    case 2: return [y, width - 1 - x];
    case 3: return [height - 1 - y, width - 1 - x];
    case 4: return [height - 1 - y, x];
    case 5: return [x, y];
    case 6: return [height - 1 - x, y];
    case 7: return [height - 1 - x, width - 1 - y];
    default: return [x, width - 1 - y];
  }
}
