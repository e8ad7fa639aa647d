// JPEG, PNG, TIFF, BMP and WebP: from the file's bytes to grey levels.

import { FilmError, unreadable, unsupported } from './errors.js';
import { deepGrey, flatten, fromNumbers } from './grey.js';
import { checkSize } from './limits.js';
import { readBmp } from './pictures/bmp.js';
import { upright } from './pictures/exif.js';
import { readJpeg } from './pictures/jpeg.js';
import { readPng } from './pictures/png.js';
import { readTiff } from './pictures/tiff.js';
import { readWebp } from './pictures/webp.js';

const READERS = { jpeg: readJpeg, png: readPng, tiff: readTiff, bmp: readBmp, webp: readWebp };

export const isPicture = (kind) => kind in READERS;

export async function readPicture(kind, bytes, context) {
  const { frame } = context;
  if (frame) throw unsupported('no picture number', { frame });
  let picture;
  try {
    picture = await READERS[kind](bytes, context);
  } catch (error) {
    if (error instanceof FilmError || isMemory(error)) throw error;
    throw unreadable('picture damaged');
  }
  checkSize(context.limits, picture.width, picture.height);
  const { warnings, format, width, height } = picture;
  const { data, colourfulness, bits } = levelsOf(picture, warnings);
  const levels = upright({ data, height, width }, picture.turn);
  const facts = { format, bits, width, height };
  if (picture.missing) facts.missing = picture.missing;
  return { ...levels, colourfulness, warnings, facts };
}

function levelsOf(picture, warnings) {
  const { data, channels, whiteIsZero } = picture;
  if (channels > 1 && data.BYTES_PER_ELEMENT > 1) {
    const { levels, colourfulness } = deepGrey(picture, warnings);
    return { data: levels, colourfulness, bits: 16 };
  }
  const flat = channels === 1 ? { grey: data, colourfulness: 0 } : flatten(picture, warnings);
  const levels = fromNumbers(flat.grey, warnings);
  return {
    data: whiteIsZero ? levels.map((level) => 1 - level) : levels,
    colourfulness: flat.colourfulness, bits: 8 * flat.grey.BYTES_PER_ELEMENT,
  };
}

// A film too large for this browser; the engines use two kinds of error for it.
export function isMemory(error) {
  return error instanceof RangeError && /memory|array (buffer )?(length|allocation)|invalid typed array/i.test(error.message);
}
