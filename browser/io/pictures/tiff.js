// TIFF without compression or with LZW or deflate, by the package tiff.

import { decode } from 'tiff';

import { say, unreadable, unsupported } from '../errors.js';
import { checkSize } from '../limits.js';

const NAMES = { 2: 'fax', 3: 'fax', 4: 'fax', 6: 'JPEG', 7: 'JPEG', 32773: 'PackBits' };
const [WIDTH, LENGTH, COMPRESSION, COLOURS] = [256, 257, 259, 262];
const [TURN, SAMPLES, PLANAR, TILE] = [274, 277, 284, 322];

export async function readTiff(bytes, { limits }) {
  const pages = decode(bytes, { ignoreImageData: true });
  if (!pages.length) throw unreadable('picture damaged');
  const { fields } = pages[0];
  checkSize(limits, fields.get(WIDTH), fields.get(LENGTH));
  const tile = [fields.get(TILE), fields.get(TILE + 1)];
  if (tile[0] * tile[1] > limits.max_pixels) throw unsupported('picture not read', { what: 'tiles' });
  const compression = fields.get(COMPRESSION) ?? 1;
  if (![1, 5, 8, 32946].includes(compression)) {
    throw unsupported('picture not read', { what: `TIFF with ${NAMES[compression] ?? 'a rare'} compression` });
  }
  if (!(fields.get(COLOURS) <= 3)) throw unsupported('picture not read', { what: 'TIFF colours' });
  const several = (fields.get(SAMPLES) ?? 1) > 1;
  if (several && (fields.get(PLANAR) === 2 || tile[0])) {
    throw unsupported('picture not read', { what: 'TIFF with separate planes or tiles of colour' });
  }
  const turn = fields.get(TURN) ?? 1;
  const page = decodeFirst(turn === 1 ? bytes : saidUpright(bytes), compression);
  const warnings = pages.length > 1 ? [say('several pictures')] : [];
  return { ...samples(page), turn, format: 'TIFF', warnings };
}

function decodeFirst(bytes, compression) {
  try {
    return decode(bytes, { pages: [0] })[0];
  } catch (error) {
    if (compression === 1 || error instanceof RangeError) throw error;
    throw unreadable('tiff damaged');
  }
}

function samples(page) {
  const { width, height, palette } = page;
  let { data, samplesPerPixel: channels } = page;
  if (page.bitsPerSample === 1) data = data.map((bit) => 255 * bit);
  if (page.type === 3) {
    const out = new Uint8Array(3 * height * width);
    data.forEach((value, i) => palette[value].forEach((shade, c) => { out[3 * i + c] = shade >> 8; }));
    [data, channels] = [out, 3];
  }
  // The package turns such values over by what they could hold; the levels are turned over instead.
  const whiteIsZero = page.type === 0 && page.bitsPerSample > 8;
  if (whiteIsZero) data = data.map((value) => 2 ** page.bitsPerSample - 1 - value);
  return { data, height, width, channels, whiteIsZero };
}

// A copy whose first page says that it is upright: the package reads no others.
function saidUpright(bytes) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  const little = copy[0] === 0x49;
  const start = view.getUint32(4, little);
  for (let i = 0; i < view.getUint16(start, little); i++) {
    const at = start + 2 + 12 * i;
    if (view.getUint16(at, little) === TURN) view.setUint16(at + 8, 1, little);
  }
  return copy;
}
