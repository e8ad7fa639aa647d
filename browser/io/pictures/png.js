// PNG of any depth, by fast-png.

import { decode } from 'fast-png';

import { say, unreadable } from '../errors.js';
import { checkSize } from '../limits.js';
import { text } from '../recognise.js';
import { orientation } from './exif.js';

export async function readPng(bytes, { limits }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 33) throw unreadable('picture damaged');
  checkSize(limits, view.getUint32(16), view.getUint32(20));
  let turn = 1;
  let animated = false;
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const name = text(bytes, at + 4, at + 8);
    if (name === 'acTL') animated = view.getUint32(at + 8) > 1;
    if (name === 'eXIf') turn = orientation(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const picture = decode(bytes, { checkCrc: true });
  const warnings = animated ? [say('several pictures')] : [];
  return { ...samples(picture), turn, format: 'PNG', warnings };
}

// Palette and shallow greys as 8 bits.
function samples({ data, height, width, depth, channels, palette }) {
  let values = data;
  if (depth < 8) {
    values = unpack(data, height, width * channels, depth);
    const top = (1 << depth) - 1;
    if (!palette) values = values.map((value) => Math.round((value * 255) / top));
  }
  if (palette) {
    const wide = palette.some((entry) => entry.length === 4) ? 4 : 3;
    const out = new Uint8Array(height * width * wide);
    for (let i = 0; i < values.length; i++) {
      const entry = palette[values[i]] ?? [0, 0, 0, 255];
      for (let c = 0; c < wide; c++) out[i * wide + c] = entry[c] ?? 255;
    }
    return { data: out, height, width, channels: wide };
  }
  return { data: values, height, width, channels };
}

function unpack(data, height, width, depth) {
  const out = new Uint8Array(height * width);
  const line = Math.ceil((width * depth) / 8);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth;
      const shift = 8 - depth - (bit & 7);
      out[y * width + x] = (data[y * line + (bit >> 3)] >> shift) & ((1 << depth) - 1);
    }
  }
  return out;
}
