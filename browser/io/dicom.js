// DICOM: from the file's bytes to grey levels, with nothing of the patient kept.

import { decodeCompressed, RLE } from './compressed.js';
import { pixelAspect, pixelSpacing, wordsOf } from './dicom_words.js';
import { FilmError, say, unreadable, unsupported } from './errors.js';
import { flatten, fromUint8 } from './grey.js';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, readHeader, tags } from './header.js';
import { checkSize } from './limits.js';
import { isMemory } from './picture.js';
import { greyLevels } from './window.js';

// Presentation LUT shape: the photometric interpretation that it goes with (PS3.3, C.8.11.1).
const SHAPES = { IDENTITY: 'MONOCHROME2', INVERSE: 'MONOCHROME1' };
const UNCOMPRESSED = [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED];

export async function readDicom(bytes, context) {
  try {
    return await readPixels(readHeader(bytes, context.limits), context);
  } catch (error) {
    if (error instanceof FilmError || isMemory(error)) throw error;
    throw unreadable('dicom damaged');
  }
}

async function readPixels(header, context) {
  const rows = header.number(tags.rows, 0);
  const columns = header.number(tags.columns, 0);
  checkSize(context.limits, columns, rows);
  const samples = header.number(tags.samples, 1);
  if (samples !== 1 && samples !== 3) throw unsupported('samples', { samples });
  const frames = Math.max(1, header.number(tags.frames, 1));
  const { frame } = context;
  if ((frame === null || frame === undefined) && frames > 1) {
    throw new FilmError('several frames', say('several frames', { frames, last: frames - 1 }), { frames });
  }
  const chosen = frame ?? 0;
  if (!(chosen >= 0 && chosen < frames)) throw unsupported('no frame', { frame: chosen, last: frames - 1 });
  const warnings = [];
  let photometric = header.word(tags.photometric);
  if (!photometric) {
    photometric = samples === 1 ? 'MONOCHROME2' : 'RGB';
    warnings.push(say('grey levels unsaid'));
  }
  const form = formOf(header, rows * columns * samples * frames);
  const shape = { rows, columns, samples, frames, ...form };
  const compressed = !UNCOMPRESSED.includes(header.syntax);
  let { data, channels } = compressed
    ? await decodeCompressed(header, chosen, shape, context)
    : uncompressed(header, chosen, shape);
  let { bits } = form;
  if (header.word(tags.intent) === 'FOR PROCESSING') warnings.push(say('raw'));
  const facts = {
    format: 'DICOM', bits, width: columns, height: rows, frames, frame: chosen,
    ...wordsOf(header, context.words),
  };
  const aspect = pixelAspect(header);
  if (aspect !== 1) facts.pixel_aspect = aspect;
  facts.pixel_spacing = pixelSpacing(header);
  if (photometric === 'PALETTE COLOR') {
    data = coloured(header, data);
    [channels, bits] = [3, 16];
  }
  if (channels === 3) {
    const inLuma = photometric.startsWith('YBR_FULL') && (!compressed || header.syntax === RLE);
    const eight = eightBits(data, bits);
    const picture = { data: inLuma ? toRgb(eight) : eight, height: rows, width: columns, channels };
    const { grey, colourfulness } = flatten(picture, warnings);
    return { data: fromUint8(grey), height: rows, width: columns, colourfulness, warnings, facts };
  }
  data = usedBits(data, header, form, compressed && header.syntax !== RLE);
  const lut = header.word(tags.shape);
  const inverted = lut in SHAPES ? lut === 'INVERSE' : photometric === 'MONOCHROME1';
  const levels = greyLevels(data, header, inverted, warnings);
  const usual = SHAPES[lut] ?? photometric;
  if (Object.values(SHAPES).includes(photometric) && usual !== photometric) {
    warnings.push(say('contradiction'));
  }
  if (header.has(tags.shutter)) warnings.push(say('shutter'));
  return { data: levels, height: rows, width: columns, colourfulness: 0, warnings, facts };
}

// The form of the stored values, with what the header lacks of it, as the number of bytes tells it.
function formOf(header, values) {
  const length = header.has(tags.pixels) ? header.set.elements[tags.pixels].length : 0;
  const allocated = header.has(tags.allocated)
    ? header.number(tags.allocated, 0) : length >= 2 * values ? 16 : 8;
  const bits = header.number(tags.stored, 0) || allocated;
  return {
    allocated, bits, high: header.has(tags.highBit) ? header.number(tags.highBit, 0) : bits - 1,
    signed: header.number(tags.signed, 0) === 1,
  };
}

// Integers with the unused bits of each cell taken away (PS3.5, 8.1.1): overlays and the like. A
// decoder (`decoded`) hands over values without such bits, but for an overlay drawn above them.
function usedBits(stored, header, { bits, high }, decoded) {
  const size = 8 * stored.BYTES_PER_ELEMENT;
  if (size > 16 || !(bits > 0 && bits < size)) return stored;
  if (decoded) {
    const [overlay] = header.numbers(tags.overlayBit);
    const unsigned = stored instanceof Uint16Array || stored instanceof Uint8Array;
    return unsigned && overlay >= bits ? stored.map((value) => value & ((1 << bits) - 1)) : stored;
  }
  // Up to the cell's top and down again, which takes the sign along.
  const up = Math.max(0, size - 1 - high);
  const shifted = stored.map((value) => value << up);
  return shifted.map((value) => value >> (size - bits));
}

// Stored values of one frame, samples beside each other.
function uncompressed(header, frame, { rows, columns, samples, ...form }) {
  const count = rows * columns * samples;
  const Kind = kind(header, form);
  const bytes = header.bytes([tags.pixels, tags.floats, tags.doubles].find((tag) => header.has(tag)));
  const size = count * Kind.BYTES_PER_ELEMENT;
  const part = bytes.slice(frame * size, (frame + 1) * size);
  if (part.length < size) throw unreadable('pixels cut');
  if (!header.little) swap(part, Kind.BYTES_PER_ELEMENT);
  let data = new Kind(part.buffer);
  if (samples === 3 && header.number(tags.planar, 0) === 1) {
    const plane = rows * columns;
    data = data.map((_, i) => data[(i % 3) * plane + Math.floor(i / 3)]);
  }
  return { data, channels: samples };
}

function kind(header, { allocated, signed }) {
  if (header.has(tags.floats)) return Float32Array;
  if (header.has(tags.doubles)) return Float64Array;
  switch (allocated) {
    case 8: return signed ? Int8Array : Uint8Array;
    case 16: return signed ? Int16Array : Uint16Array;
    case 32: return signed ? Int32Array : Uint32Array;
    default: throw unreadable('pixels cut');
  }
}

function swap(bytes, width) {
  for (let at = 0; at + width <= bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

function eightBits(data, bits) {
  if (data instanceof Uint8Array) return data;
  if (!(data instanceof Uint16Array) || bits < 1 || bits > 16) throw unsupported('colour depth');
  return Uint8Array.from(data, (v) => Math.min(255, (v * 255) / (2 ** bits - 1)));
}

// YBR_FULL to RGB (PS3.3 C.7.6.3.1.2).
function toRgb(data) {
  const out = new Uint8Array(data.length);
  const level = (v) => Math.max(0, Math.min(255, Math.round(v)));
  for (let i = 0; i < data.length; i += 3) {
    const [y, cb, cr] = [data[i], data[i + 1] - 128, data[i + 2] - 128];
    out[i] = level(y + 1.402 * cr);
    out[i + 1] = level(y - 0.344136 * cb - 0.714136 * cr);
    out[i + 2] = level(y + 1.772 * cb);
  }
  return out;
}

// Stored values through the palette: 16-bit RGB.
function coloured(header, stored) {
  const tables = tags.palette.map((tag, i) => {
    const [count, , bits] = header.numbers(tag, 'US');
    const [, first] = header.numbers(tag, header.number(tags.signed, 0) ? 'SS' : 'US');
    const bytes = header.bytes(tags.paletteData[i]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = count || 65536;
    const one = bytes.length < 2 * length;
    const entry = (at) => (one ? bytes[at] * 257 : view.getUint16(2 * at, header.little) * (bits === 8 ? 257 : 1));
    return (value) => entry(Math.max(0, Math.min(length - 1, value - first)));
  });
  const out = new Uint16Array(3 * stored.length);
  stored.forEach((value, i) => tables.forEach((table, c) => { out[3 * i + c] = table(value); }));
  return out;
}
