// A DICOM file's header: where its elements lie. Names, dates and identifiers are never looked at.

import * as dicomParser from 'dicom-parser';
import { Inflate } from 'fflate';

import { noPixels, unreadable } from './errors.js';
import { checkBytes } from './limits.js';
import { text } from './recognise.js';

export const IMPLICIT = '1.2.840.10008.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
export const DEFLATED = '1.2.840.10008.1.2.1.99';
export const BIG_ENDIAN = '1.2.840.10008.1.2.2';

export const tags = {
  modality: 'x00080060', age: 'x00101010', intent: 'x00080068', bodyPart: 'x00180015', view: 'x00185101',
  laterality: 'x00200060', imageLaterality: 'x00200062', samples: 'x00280002',
  photometric: 'x00280004', planar: 'x00280006', frames: 'x00280008', rows: 'x00280010',
  columns: 'x00280011', allocated: 'x00280100', stored: 'x00280101', highBit: 'x00280102',
  signed: 'x00280103', padding: 'x00280120', paddingLimit: 'x00280121', center: 'x00281050',
  width: 'x00281051', intercept: 'x00281052', slope: 'x00281053', function: 'x00281056',
  modalityTable: 'x00283000', descriptor: 'x00283002', table: 'x00283006', voiTable: 'x00283010',
  spacings: ['x00280030', 'x00181164', 'x00182010', 'x00280034'], calibration: 'x00280a02', overlayBit: 'x60000102', floats: 'x7fe00008', doubles: 'x7fe00009', pixels: 'x7fe00010',
  offsets: 'x7fe00001', lengths: 'x7fe00002',
  palette: ['x00281101', 'x00281102', 'x00281103'],
  paletteData: ['x00281201', 'x00281202', 'x00281203'],
};

const NUMBERS = { US: 2, SS: 2, UL: 4, SL: 4, FL: 4, FD: 8 };
// What an element is, in files that leave it out.
const KINDS = {
  [tags.samples]: 'US', [tags.planar]: 'US', [tags.rows]: 'US', [tags.columns]: 'US',
  [tags.allocated]: 'US', [tags.stored]: 'US', [tags.highBit]: 'US', [tags.signed]: 'US',
  [tags.overlayBit]: 'US', [tags.descriptor]: 'US',
};

export class Header {
  constructor(dataSet, syntax) {
    this.set = dataSet;
    this.syntax = syntax;
    this.little = syntax !== BIG_ENDIAN;
  }

  has(tag) {
    return tag in this.set.elements;
  }

  // The finite numbers of an element; none when it is absent or damaged.
  numbers(tag, kind) {
    const element = this.set.elements[tag];
    if (!element) return [];
    const vr = NUMBERS[element.vr] ? element.vr : kind ?? KINDS[tag] ?? element.vr;
    try {
      const values = NUMBERS[vr] ? this.#binary(element, vr) : this.#strings(tag);
      return values.filter(Number.isFinite);
    } catch {
      return [];
    }
  }

  number(tag, otherwise, kind) {
    const [value] = this.numbers(tag, kind);
    return value === undefined || Math.abs(value) >= 2 ** 31 ? otherwise : Math.trunc(value);
  }

  hasPixels() {
    return [tags.pixels, tags.floats, tags.doubles].some((tag) => this.has(tag));
  }

  word(tag) {
    return (this.set.string(tag) ?? '').replace(/\0/g, '').trim().toUpperCase();
  }

  bytes(tag) {
    const { dataOffset, length } = this.set.elements[tag];
    return this.set.byteArray.subarray(dataOffset, dataOffset + length);
  }

  // The first item of a sequence, as a header of its own.
  item(tag) {
    const [first] = this.set.elements[tag]?.items ?? [];
    return first?.dataSet ? new Header(first.dataSet, this.syntax) : null;
  }

  #strings(tag) {
    const values = (this.set.string(tag) ?? '').split('\\').map((value) => value.trim());
    return values.filter(Boolean).map(Number);
  }

  #binary({ dataOffset, length }, vr) {
    const view = new DataView(this.set.byteArray.buffer, this.set.byteArray.byteOffset + dataOffset, length);
    const read = {
      US: view.getUint16, SS: view.getInt16, UL: view.getUint32, SL: view.getInt32,
      FL: view.getFloat32, FD: view.getFloat64,
    }[vr];
    const count = Math.floor(length / NUMBERS[vr]);
    return Array.from({ length: count }, (_, i) => read.call(view, i * NUMBERS[vr], this.little));
  }
}

export function readHeader(bytes, limits, inner = false) {
  const preamble = text(bytes, 128, 132) === 'DICM';
  let whole = bytes;
  let guess;
  if (!preamble && text(bytes, 0, 2) === '\x02\0') {
    whole = new Uint8Array(bytes.length + 132);
    whole.set([0x44, 0x49, 0x43, 0x4d], 128);
    whole.set(bytes, 132);
  } else if (!preamble) {
    guess = guessSyntax(bytes);
  }
  const inflater = (packed, start) => inflate(packed, start, limits);
  let dataSet;
  let broken = false;
  try {
    dataSet = dicomParser.parseDicom(whole, { TransferSyntaxUID: guess, inflater });
  } catch (error) {
    // Read as far as it goes: what a film needs may have come.
    dataSet = error?.dataSet;
    if (error?.kind) throw error;
    if (!dataSet) throw unreadable('dicom damaged');
    broken = true;
    dataSet.elements.x00020010 ??= metaSyntax(whole);
  }
  const syntax = guess ?? (dataSet.string('x00020010') ?? '').replace(/\0/g, '').trim();
  const header = new Header(dataSet, syntax);
  if (!header.hasPixels()) readOn(dataSet, syntax);
  if (!header.hasPixels()) {
    const again = inner ? -1 : find(bytes, 'DICM\x02\0', 132);
    if (again >= 128) return readHeader(bytes.subarray(again - 128), limits, true);
    if (!preamble && !header.has(tags.rows)) {
      throw unreadable('not a film', { kind: 'an unknown or damaged file' });
    }
    if (broken) throw unreadable('dicom header damaged');
    throw noPixels('dicom without picture');
  }
  return header;
}

// Adds what lies behind a stray delimiter, where the parser stops reading.
function readOn(dataSet, syntax) {
  const { byteArray } = dataSet;
  const little = syntax !== BIG_ENDIAN;
  let at = Math.max(0, ...Object.values(dataSet.elements).map((e) => e.dataOffset + e.length));
  const delimiter = little ? [0xfe, 0xff] : [0xff, 0xfe];
  while (at + 8 <= byteArray.length && delimiter.every((byte, i) => byteArray[at + i] === byte)) at += 8;
  if (!(at > 0 && at + 8 <= byteArray.length)) return;
  const parsers = little ? dicomParser.littleEndianByteArrayParser : dicomParser.bigEndianByteArrayParser;
  const stream = new dicomParser.ByteStream(parsers, byteArray, at);
  const read = syntax === IMPLICIT ? dicomParser.parseDicomDataSetImplicit : dicomParser.parseDicomDataSetExplicit;
  try {
    read(dataSet, stream, byteArray.length, {});
  } catch { /* as far as it goes */ }
}

function find(bytes, words, from) {
  const wanted = [...words].map((letter) => letter.charCodeAt(0));
  for (let at = bytes.indexOf(wanted[0], from); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}

function metaSyntax(bytes) {
  try {
    const meta = dicomParser.readPart10Header(bytes);
    return meta.elements.x00020010;
  } catch {
    return undefined;
  }
}

// Of a file without its first part: whether two letters name the kind of the first element.
function guessSyntax(bytes) {
  const explicit = /^[A-Z]{2}$/.test(text(bytes, 4, 6));
  if (!explicit) return IMPLICIT;
  return bytes[0] === 0 ? BIG_ENDIAN : EXPLICIT;
}

// The header as it is, and the deflated rest of the file, at most as much of it as is read at all.
function inflate(bytes, start, limits) {
  const parts = [bytes.subarray(0, start)];
  let size = start;
  const stream = new Inflate((part) => {
    size += part.length;
    checkBytes(limits, size - start);
    parts.push(part.slice());
  });
  const step = 1 << 16;
  for (let at = start; at < bytes.length; at += step) {
    stream.push(bytes.subarray(at, at + step), at + step >= bytes.length);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
