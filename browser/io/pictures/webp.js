// WebP, by libwebp; of an animation the first picture.

import { say, unreadable } from '../errors.js';
import { checkSize } from '../limits.js';
import { text } from '../recognise.js';
import { orientation } from './exif.js';

export async function readWebp(bytes, { codecs, limits }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let turn = 1;
  let still = bytes;
  let frames = 0;
  const parts = {};
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = text(bytes, at, at + 4);
    const size = view.getUint32(at + 4, true);
    const body = bytes.subarray(at + 8, at + 8 + size);
    parts[name] ??= body;
    if (name === 'EXIF') turn = orientation(text(body, 0, 4) === 'Exif' ? body.subarray(6) : body);
    if (name === 'ANMF' && ++frames === 1) still = picture(body);
    at += 8 + size + (size % 2);
  }
  checkSize(limits, ...declared(parts));
  const module = await codecs.webp();
  const image = module.decode(still.slice().buffer);
  if (!image) throw unreadable('picture damaged');
  const warnings = frames > 1 ? [say('several pictures')] : [];
  return {
    data: image.data, height: image.height, width: image.width, channels: 4, turn,
    format: 'WEBP', warnings,
  };
}

// Width and height of the canvas, or of the one picture (VP8L, VP8).
function declared({ VP8X, VP8L, 'VP8 ': VP8 }) {
  const part = VP8X ?? VP8L ?? VP8;
  if (!part || part.length < 10) throw unreadable('picture damaged');
  const at = (i) => part[i] | (part[i + 1] << 8);
  if (VP8X) return [1 + (at(4) | (part[6] << 16)), 1 + (at(7) | (part[9] << 16))];
  if (VP8L) return [1 + (at(1) & 0x3fff), 1 + (((at(1) | (at(3) << 16)) >>> 14) & 0x3fff)];
  return [at(6) & 0x3fff, at(8) & 0x3fff];
}

// One frame of an animation as a file of its own.
function picture(frame) {
  const body = frame.subarray(16);
  const hasAlpha = text(body, 0, 4) === 'ALPH';
  const header = new Uint8Array(hasAlpha ? 30 : 12);
  const view = new DataView(header.buffer);
  const write = (at, name) => header.set([...name].map((c) => c.charCodeAt(0)), at);
  write(0, 'RIFF');
  view.setUint32(4, header.length - 8 + body.length, true);
  write(8, 'WEBP');
  if (hasAlpha) {
    write(12, 'VP8X');
    view.setUint32(16, 10, true);
    header[20] = 0x10;
    header.set(frame.subarray(6, 12), 24);
  }
  const whole = new Uint8Array(header.length + body.length);
  whole.set(header);
  whole.set(body, header.length);
  return whole;
}
