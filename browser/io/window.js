// From a DICOM film's stored values to grey levels: modality, window or range, polarity. Each step
// is worked out once per possible stored value (DICOM PS3.3 C.11, C.7.6.3.1.2).

import { say } from './errors.js';
import { fromNumbers, histogram, percentiles, robustRange } from './grey.js';
import { tags } from './header.js';
import { round } from '../model/letterbox.js';

// A window that leaves less of the grey range than this, between nearly all of the film's pixels,
// shows black or white and no bone.
const LEAST_SPREAD = 0.1;

// stored: typed array of stored values; `inverted`: low values are bright (MONOCHROME1).
export function greyLevels(stored, header, inverted, warnings) {
  if (stored.BYTES_PER_ELEMENT > 2) {
    const levels = fromNumbers(stored, warnings);
    return inverted ? levels.map((v) => 1 - v) : levels;
  }
  const { index, ramp, counts } = histogram(stored);
  let padding = isPadding(ramp, header, stored);
  if (counts.some((count, i) => count > 0 && !padding(ramp[i]))) {
    ramp.forEach((value, i) => { if (padding(value)) counts[i] = 0; });
  } else {
    padding = () => false;
    warnings.push(say('all padding'));
  }
  const values = rescaled(ramp, header, warnings);
  let table = byRange(stored, values ?? ramp, counts, header);
  const spread = (levels) => {
    const [low, high] = percentiles(levels, counts);
    return high - low;
  };
  if (values) { // a window is in units of the modality table: without it, none
    for (const own of ownTables(values, header, warnings)) {
      if (spread(own) >= LEAST_SPREAD || !spread(table)) {
        table = own;
        break;
      }
      warnings.push(say('window empty'));
    }
  }
  const final = Float32Array.from(table, (v, i) => {
    if (padding(ramp[i])) return 0;
    return inverted ? 1 - v : v;
  });
  const out = new Float32Array(index.length);
  for (let i = 0; i < out.length; i++) out[i] = final[index[i]];
  return out;
}

function kindOf(stored) {
  return stored instanceof Int16Array || stored instanceof Int8Array ? 'SS' : 'US';
}

function isPadding(ramp, header, stored) {
  const [value] = header.numbers(tags.padding, kindOf(stored));
  if (value === undefined) return () => false;
  const [limit = value] = header.numbers(tags.paddingLimit, kindOf(stored));
  const [low, high] = [Math.min(value, limit), Math.max(value, limit)];
  return (level) => level >= low && level <= high;
}

// Null where the file has a modality table that cannot be used.
function rescaled(ramp, header, warnings) {
  if (header.has(tags.modalityTable) && header.item(tags.modalityTable)) {
    const table = readTable(header.item(tags.modalityTable), ramp.some((value) => value < 0));
    if (table) return lookUp(table, ramp);
    warnings.push(say('modality table'));
    return null;
  }
  const [slope = 1] = header.numbers(tags.slope);
  if (!(Math.abs(slope) > 0 && Math.abs(slope) < 1e30)) {
    warnings.push(say('slope unusable'));
    return ramp;
  }
  const [intercept = 0] = header.numbers(tags.intercept);
  const shift = Math.max(-1e30, Math.min(1e30, intercept));
  return ramp.map((value) => value * slope + shift);
}

// The file's own ways from value to grey, best first: its first window, then its VOI LUT.
function* ownTables(values, header, warnings) {
  const centers = header.numbers(tags.center);
  const widths = header.numbers(tags.width);
  const usable = centers.slice(0, widths.length)
    .map((center, i) => [center, widths[i]])
    .filter(([center, width]) => width > 0 && width < 1e30 && Math.abs(center) < 1e30);
  if (usable.length) yield windowed(values, ...usable[0], header.word(tags.function));
  else if (widths.length) warnings.push(say('window unusable'));
  const item = header.item(tags.voiTable);
  if (!item) return;
  const table = readTable(item, values.some((value) => value < 0));
  if (table) yield lookUp(table, values).map((v) => Math.max(0, Math.min(1, v / table.top)));
  else warnings.push(say('voi table'));
}

// PS3.3 C.11.2.1.2 (linear) and C.11.2.1.3 (exact, sigmoid), with output 0 to 1.
function windowed(values, center, width, name) {
  if (name === 'SIGMOID') return values.map((v) => 1 / (1 + Math.exp((-4 * (v - center)) / width)));
  const exact = name === 'LINEAR_EXACT' || width < 1;
  const low = exact ? center - width / 2 : center - 0.5 - (width - 1) / 2;
  const high = exact ? center + width / 2 : center - 0.5 + (width - 1) / 2;
  if (!(high > low)) return values.map((v) => (v > low ? 1 : 0)); // a width of 1 is a threshold
  return values.map((v) => Math.max(0, Math.min(1, (v - low) / (high - low))));
}

function byRange(stored, values, counts, header) {
  const plain = !header.has(tags.modalityTable) && !header.numbers(tags.slope).length;
  const eight = stored instanceof Uint8Array && plain;
  const [low, high] = eight ? [0, 255] : robustRange(values, counts);
  return values.map((v) => (high > low ? Math.max(0, Math.min(1, (v - low) / (high - low))) : 0));
}

// A look-up table: its entries, the value of its first, and white: the largest value of as many bits
// as the entries use. How many bytes there are decides: a byte an entry, or a word. Null if damaged.
function readTable(item, signed) {
  const [said, start] = item.numbers(tags.descriptor, 'US');
  if (start === undefined || !item.has(tags.table)) return null;
  const count = said % 65536 || 65536;
  const first = signed && start >= 32768 ? start - 65536 : start;
  const bytes = item.bytes(tags.table);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const one = (bytes.length === count || bytes.length === count + 1) && bytes.length > 1;
  const words = Array.from({ length: Math.floor(bytes.length / 2) }, (_, i) => view.getUint16(2 * i, item.little));
  const entries = one
    ? words.flatMap((word) => [word & 255, word >> 8]).slice(0, count) // two a word, low first
    : words.slice(0, count);
  if (entries.length < 2) return null;
  const most = entries.reduce((a, b) => Math.max(a, b), 0);
  return { first, entries, top: Math.max(1, 2 ** (32 - Math.clz32(most)) - 1) };
}

// Beyond the ends the outermost entry holds.
function lookUp({ first, entries }, values) {
  const last = entries.length - 1;
  return Float64Array.from(values, (v) => (
    entries[Math.max(0, Math.min(last, round(Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, v))) - first))]
  ));
}
