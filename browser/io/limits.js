// How large a film may be; checked on the declared size, before anything is decoded.

import { FilmError, noPixels, say, tooLarge } from './errors.js';

export function checkBytes(limits, count) {
  if (count > limits.max_bytes) throw tooLarge('file too large', { megabytes: limits.max_bytes / 1e6 });
}

export function checkSize(limits, width, height) {
  if (!(width > 0 && height > 0)) throw noPixels('no size');
  if (Math.max(width, height) > limits.max_side || width * height > limits.max_pixels) {
    throw tooLarge('too many pixels', {
      width, height, millions: limits.max_pixels / 1e6, side: limits.max_side,
    });
  }
  if (Math.min(width, height) < limits.min_side) {
    throw new FilmError('too small', say('too small', { width, height, side: limits.min_side }));
  }
}
