// BMP without compression: Windows' own header, 1 to 32 bits a pixel.

import { unreadable, unsupported } from '../errors.js';
import { checkSize } from '../limits.js';

export async function readBmp(bytes, { limits }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 54 || view.getUint32(14, true) < 40) throw unreadable('picture damaged');
  const width = view.getInt32(18, true);
  const stored = view.getInt32(22, true); // negative: the first row is the top
  const height = Math.abs(stored);
  checkSize(limits, width, height);
  const depth = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  const plain = compression === 0 || (compression === 3 && depth === 32 && usualMasks(view));
  if (!plain || ![1, 4, 8, 24, 32].includes(depth)) {
    throw unsupported('picture not read', { what: 'compressed BMP' });
  }
  const line = Math.ceil((width * depth) / 32) * 4;
  const start = view.getUint32(10, true);
  if (start + line * height > bytes.length) throw unreadable('picture damaged');
  const table = 14 + view.getUint32(14, true);
  const data = new Uint8Array(3 * height * width);
  for (let y = 0; y < height; y++) {
    const row = start + line * (stored > 0 ? height - 1 - y : y);
    for (let x = 0; x < width; x++) {
      let at = row + (x * depth) / 8;
      if (depth <= 8) {
        const shift = 8 - depth - ((x * depth) & 7);
        at = table + 4 * ((bytes[Math.floor(at)] >> shift) & ((1 << depth) - 1));
      }
      const out = 3 * (y * width + x);
      for (let c = 0; c < 3; c++) data[out + c] = bytes[at + 2 - c];
    }
  }
  return { data, height, width, channels: 3, turn: 1, format: 'BMP', warnings: [] };
}

function usualMasks(view) {
  return [0xff0000, 0xff00, 0xff].every((mask, i) => view.getUint32(54 + 4 * i, true) === mask);
}
