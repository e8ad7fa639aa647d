// Compressed pictures inside DICOM: what a stream declares, and its decoding.

import * as dicomParser from 'dicom-parser';
import { Decoder as LosslessDecoder } from 'jpeg-lossless-decoder-js';

import { FilmError, say, unreadable, unsupported } from './errors.js';
import { tags } from './header.js';
import { isMemory } from './picture.js';
import { decodeJpeg, declared as declaredJpeg, MAX_SCANS, scans } from './pictures/jpeg.js';
import { decodeRle } from './rle.js';

const HOLE = 256; // bytes; data look random
export const RLE = '1.2.840.10008.1.2.5';
const BASELINE = ['1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.51'];
const DECODERS = {
  '1.2.840.10008.1.2.4.50': baseline,
  '1.2.840.10008.1.2.4.51': baseline,
  '1.2.840.10008.1.2.4.57': lossless,
  '1.2.840.10008.1.2.4.70': lossless,
  '1.2.840.10008.1.2.4.80': (stream, context) => byCodec(stream, context.codecs.jpeg_ls, 'JpegLSDecoder'),
  '1.2.840.10008.1.2.4.81': (stream, context) => byCodec(stream, context.codecs.jpeg_ls, 'JpegLSDecoder'),
  '1.2.840.10008.1.2.4.90': (stream, context) => byCodec(stream, context.codecs.jpeg_2000, 'J2KDecoder'),
  '1.2.840.10008.1.2.4.91': (stream, context) => byCodec(stream, context.codecs.jpeg_2000, 'J2KDecoder'),
  '1.2.840.10008.1.2.4.201': (stream, context) => byCodec(stream, context.codecs.htj2k, 'HTJ2KDecoder'),
  '1.2.840.10008.1.2.4.202': (stream, context) => byCodec(stream, context.codecs.htj2k, 'HTJ2KDecoder'),
  '1.2.840.10008.1.2.4.203': (stream, context) => byCodec(stream, context.codecs.htj2k, 'HTJ2KDecoder'),
  [RLE]: (stream, { header }) => decodeRle(stream, header),
};

// Width, height, samples and bits of a JPEG, JPEG-LS or JPEG 2000 stream; null without them.
function declared(stream) {
  if (stream[0] === 0xff && stream[1] === 0xd8) return declaredJpeg(stream);
  for (let at = 0; at < Math.min(4096, stream.length - 43); at++) {
    if (stream[at] === 0xff && stream[at + 1] === 0x4f && stream[at + 2] === 0xff && stream[at + 3] === 0x51) {
      const view = new DataView(stream.buffer, stream.byteOffset + at);
      return {
        start: at, width: view.getUint32(8) - view.getUint32(16), height: view.getUint32(12) - view.getUint32(20),
        samples: view.getUint16(40), bits: (stream[at + 42] & 0x7f) + 1,
      };
    }
  }
  return null;
}

// Whether every tile of a JPEG 2000 stream is there, and none has a hole of zeros: the decoder takes
// any bytes for data.
function isWhole(stream, start) {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const [right, bottom] = [view.getUint32(start + 8), view.getUint32(start + 12)];
  const [width, height, left, top] = [24, 28, 32, 36].map((at) => view.getUint32(start + at));
  if (!width || !height) return false;
  const tiles = Math.ceil((right - left) / width) * Math.ceil((bottom - top) / height);
  if (tiles > 65535) return false; // a tile's number has 16 bits
  let at = start;
  while (at < stream.length && !(stream[at] === 0xff && stream[at + 1] === 0x90)) at += 1;
  const seen = new Set();
  while (at + 12 <= stream.length && stream[at] === 0xff && stream[at + 1] === 0x90) {
    seen.add(view.getUint16(at + 4));
    const length = view.getUint32(at + 6);
    if (!length) break; // this part reaches to the end
    at += Math.max(length, 12);
  }
  let end = stream.length;
  while (end > start && !(stream[end] === 0xff && stream[end + 1] === 0xd9)) end -= 1;
  let zeros = 0;
  for (let i = start; i < (end > start ? end : stream.length); i++) {
    zeros = stream[i] ? 0 : zeros + 1;
    if (zeros >= HOLE) return false;
  }
  return seen.size === tiles;
}

// The samples of one frame, { data, channels }; `shape` is what the header says.
export async function decodeCompressed(header, frame, shape, context) {
  const { syntaxes } = context;
  const name = syntaxes[header.syntax] ?? say('unknown syntax');
  const decode = DECODERS[header.syntax];
  if (!decode) throw unsupported('syntax', { syntax: name });
  const damaged = unreadable('compressed damaged', { syntax: name });
  let stream;
  try {
    stream = frameOf(header, frame, shape.frames);
  } catch {
    throw damaged;
  }
  if (header.syntax !== RLE) {
    const found = declared(stream);
    if (!found || found.width !== shape.columns || found.height !== shape.rows || found.samples !== shape.samples) {
      throw unreadable('compressed size');
    }
    if (found.bits > 8 && BASELINE.includes(header.syntax)) throw unsupported('syntax', { syntax: name });
    if (found.start !== undefined && !isWhole(stream, found.start)) {
      throw unreadable('compressed part missing', { syntax: name });
    }
    if (stream[0] === 0xff && stream[1] === 0xd8 && scans(stream) > MAX_SCANS) throw unsupported('compressed scans');
  }
  try {
    const decoded = await decode(stream, { header, shape, codecs: context.codecs });
    if (decoded.data.length !== shape.rows * shape.columns * shape.samples) throw damaged;
    return decoded;
  } catch (error) {
    if (error instanceof FilmError || isMemory(error)) throw error;
    throw damaged;
  }
}

function frameOf(header, frame, frames) {
  const element = header.set.elements[tags.pixels];
  if (!element.fragments) throw new RangeError('not in fragments');
  if (frames === 1) {
    return dicomParser.readEncapsulatedPixelDataFromFragments(header.set, element, 0, element.fragments.length);
  }
  if (element.basicOffsetTable?.length) {
    return dicomParser.readEncapsulatedImageFrame(header.set, element, frame);
  }
  const table = element.fragments.length === frames ? null : dicomParser.createJPEGBasicOffsetTable(header.set, element);
  if (table) return dicomParser.readEncapsulatedImageFrame(header.set, element, frame, table);
  return dicomParser.readEncapsulatedPixelDataFromFragments(header.set, element, frame, 1);
}

async function baseline(stream, { codecs }) {
  const { data, channels, missing } = await decodeJpeg(codecs, stream);
  if (missing) throw new RangeError('cut short');
  return { data, channels };
}

async function lossless(stream, { header, shape }) {
  const bytes = header.number(tags.allocated, 16) > 8 ? 2 : 1;
  const decoded = new LosslessDecoder().decode(stream.buffer, stream.byteOffset, stream.length, bytes);
  const buffer = decoded.buffer ?? decoded;
  const raw = bytes === 2 ? new Uint16Array(buffer) : new Uint8Array(buffer);
  return { data: signed(raw, header), channels: shape.samples };
}

async function byCodec(stream, codec, name) {
  const module = await codec();
  const decoder = new module[name]();
  try {
    decoder.getEncodedBuffer(stream.length).set(stream);
    decoder.decode();
    const { bitsPerSample, componentCount: channels, isSigned } = decoder.getFrameInfo();
    const bytes = new Uint8Array(decoder.getDecodedBuffer()); // a copy
    if (bitsPerSample <= 8) return { data: isSigned ? new Int8Array(bytes.buffer) : bytes, channels };
    return { data: isSigned ? new Int16Array(bytes.buffer) : new Uint16Array(bytes.buffer), channels };
  } finally {
    decoder.delete();
  }
}

// The same bits as signed numbers, where the header says so.
export function signed(data, header) {
  if (header.number(tags.signed, 0) !== 1) return data;
  return data instanceof Uint16Array ? new Int16Array(data.buffer) : new Int8Array(data.buffer);
}
