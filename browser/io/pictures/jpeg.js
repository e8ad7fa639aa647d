// JPEG, by libjpeg-turbo: the same decoder, and so the same grey levels, in every browser. Beside the
// decoder it is looked at what a stream declares, and whether all of the picture is there.

import { say, unreadable, unsupported } from '../errors.js';
import { luma } from '../grey.js';
import { checkSize } from '../limits.js';
import { text } from '../recognise.js';
import { orientation } from './exif.js';

// A hostile file declares thousands of passes over all pixels; a progressive JPEG has about ten.
export const MAX_SCANS = 100;
const MAX_MISSING = 0.1; // of a film that is cut short
const BARE = new Set([0x01, 0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]);
const FRAMES = new Set([
  0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xf7,
]);
const PROGRESSIVE = new Set([0xc2, 0xc6, 0xca]);
const [SCAN, END] = [0xda, 0xd9];
const isComment = (marker) => marker === 0xfe || (marker >= 0xe0 && marker <= 0xef);

// [marker, start, end] of each segment; a scan's data belong to its own segment. Stops where the
// stream ends, at the end mark (which is given), or where no marker stands.
function* segments(bytes) {
  for (let at = 2; at + 2 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1];
    if (marker === 0xff) { // padding between segments
      at += 1;
      continue;
    }
    if (marker === END) {
      yield [marker, at, at + 2];
      return;
    }
    let end = at + 2;
    if (!BARE.has(marker)) {
      if (at + 4 > bytes.length) return;
      end += (bytes[at + 2] << 8) | bytes[at + 3];
    }
    if (marker === SCAN) end = afterScan(bytes, end);
    yield [marker, at, end];
    at = end;
  }
}

// Where the data of a scan end: at a marker that is neither a stuffed zero nor a restart.
function afterScan(bytes, from) {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next === undefined) break;
    if (next !== 0 && next !== 0xff && !(next >= 0xd0 && next <= 0xd7)) return at;
  }
  return bytes.length;
}

// What the stream declares, { marker, width, height, samples, bits }; null without a frame header.
export function declared(bytes) {
  for (const [marker, at] of segments(bytes)) {
    if (FRAMES.has(marker) && at + 10 <= bytes.length) {
      return {
        marker, bits: bytes[at + 4], height: (bytes[at + 5] << 8) | bytes[at + 6],
        width: (bytes[at + 7] << 8) | bytes[at + 8], samples: bytes[at + 9],
      };
    }
    if (marker === SCAN) return null;
  }
  return null;
}

export function scans(bytes) {
  let count = 0;
  for (let i = bytes.indexOf(0xff); i >= 0; i = bytes.indexOf(0xff, i + 1)) {
    if (bytes[i + 1] === SCAN) count += 1;
  }
  return count;
}

// Raw pixels of an 8-bit JPEG; `whole` is false when the decoder complained on the way.
async function decode(codecs, bytes) {
  const { JPEGDecoder } = await codecs.jpeg();
  const decoder = new JPEGDecoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    let whole = true;
    try {
      decoder.decode();
    } catch {
      whole = false;
    }
    const { width, height, componentCount: channels } = decoder.getFrameInfo();
    return { data: new Uint8Array(decoder.getDecodedBuffer()), height, width, channels, whole };
  } finally {
    decoder.delete();
  }
}

// Pixels, and the share of the picture that the file lacks at its end, 0 to MAX_MISSING. More, or
// damage elsewhere, is refused: nobody could tell which part of the picture is true.
export async function decodeJpeg(codecs, bytes) {
  const { progressive, plain, ended } = withoutComments(bytes);
  if (!ended) {
    const closed = withEnd(bytes);
    const picture = await decode(codecs, closed);
    if (picture.whole || (await decode(codecs, withEnd(plain))).whole) return checkScans(picture, plain);
    if (progressive) throw unreadable('jpeg blurred');
    const missing = blankAtEnd(picture);
    if (missing > MAX_MISSING) throw unreadable('jpeg cut', { percent: Math.round(100 * missing) });
    return { ...checkScans(picture, plain), missing };
  }
  const picture = await decode(codecs, bytes);
  if (picture.whole) return checkScans(picture, plain);
  // Comments may be damaged; and bytes that only fill up before the end mark do no harm.
  const tidy = withoutFilling(plain);
  if ((await decode(codecs, tidy)).whole) return checkScans(picture, plain);
  throw unreadable('jpeg damaged');
}

function checkScans(picture, plain) {
  if (!allScans(plain)) throw unreadable('jpeg damaged');
  return { ...picture, missing: 0 };
}

// The JPEG without comments and application data: the decoder keeps its first complaint only.
function withoutComments(bytes) {
  const parts = [bytes.subarray(0, 2)];
  let [progressive, ended] = [false, false];
  for (const [marker, at, end] of segments(bytes)) {
    progressive ||= PROGRESSIVE.has(marker);
    ended ||= marker === END;
    if (!isComment(marker)) parts.push(bytes.subarray(at, end));
  }
  return { progressive, ended, plain: join(parts) };
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const withEnd = (bytes) => join([bytes, Uint8Array.of(0xff, END)]);

function withoutFilling(bytes) {
  let end = bytes.length - 2;
  while (end > 0 && (bytes[end - 1] === 0 || bytes[end - 1] === 0xff)) end -= 1;
  return withEnd(bytes.subarray(0, end));
}

// Share of the picture's blocks that are one even grey at its end: the decoder's filling.
function blankAtEnd(picture) {
  const { height, width, channels } = picture;
  const grey = channels === 1 ? picture.data : luma(picture);
  const filling = grey[grey.length - 1];
  const [rows, columns] = [Math.ceil(height / 8), Math.ceil(width / 8)];
  for (let block = rows * columns - 1; block >= 0; block--) {
    const [top, left] = [8 * Math.floor(block / columns), 8 * (block % columns)];
    for (let y = top; y < Math.min(top + 8, height); y++) {
      for (let x = left; x < Math.min(left + 8, width); x++) {
        if (grey[y * width + x] !== filling) return 1 - (block + 1) / (rows * columns);
      }
    }
  }
  return 1;
}

// Whether the scans bring every coefficient of every component to its last bit.
function allScans(bytes) {
  let lacking = new Set();
  for (const [marker, at, end] of segments(bytes)) {
    const body = bytes.subarray(at + 4, Math.min(end, at + 1024));
    if (FRAMES.has(marker)) {
      lacking = new Set();
      for (let k = 0; k < body[5]; k++) {
        for (let c = 0; c < 64; c++) lacking.add(64 * body[6 + 3 * k] + c);
      }
    } else if (marker === SCAN && body.length > 3 + 2 * body[0]) {
      const [first, last, bits] = body.subarray(1 + 2 * body[0]);
      if ((bits & 0x0f) !== 0) continue; // of successive approximation, the last bit
      for (let k = 0; k < body[0]; k++) {
        for (let c = first; c <= last; c++) lacking.delete(64 * body[1 + 2 * k] + c);
      }
    }
  }
  return lacking.size === 0;
}

// Refuses a JPEG that is read inside DICOM files only, by its own name.
function refuseUnusual(bytes) {
  if (scans(bytes) > MAX_SCANS) throw unsupported('jpeg scans');
  for (const [marker, at] of segments(bytes)) {
    if (!FRAMES.has(marker)) continue;
    const bits = bytes[at + 4] ?? 8;
    let what = { 0xc3: 'lossless JPEG', 0xf7: 'JPEG-LS' }[marker];
    if (!what && [0xc5, 0xc6, 0xc7, 0xcb, 0xcd, 0xce, 0xcf].includes(marker)) {
      what = 'lossless or hierarchical JPEG';
    }
    if (!what && bits > 8) what = `${bits}-bit JPEG`;
    if (what) throw unsupported('jpeg of dicom', { what });
    return;
  }
}

export async function readJpeg(bytes, { codecs, limits }) {
  refuseUnusual(bytes);
  const found = declared(bytes);
  if (!found) throw unreadable('picture damaged');
  checkSize(limits, found.width, found.height);
  if (found.samples === 4) throw unsupported('picture not read', { what: 'CMYK colours' });
  const picture = await decodeJpeg(codecs, bytes);
  const warnings = [];
  const missing = Math.round(1e4 * picture.missing) / 1e4;
  if (missing) warnings.push(say('jpeg cut a little', { percent: (100 * missing).toFixed(1) }));
  return { ...picture, missing, turn: turnOf(bytes), format: 'JPEG', warnings };
}

function turnOf(bytes) {
  for (const [marker, at, end] of segments(bytes)) {
    if (marker === 0xe1 && text(bytes, at + 4, at + 10) === 'Exif\0\0') {
      return orientation(bytes.subarray(at + 10, end));
    }
    if (marker === SCAN) break;
  }
  return 1;
}
