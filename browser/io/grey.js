// From stored values to grey levels in [0, 1]: 8 bits are divided by 255 and never stretched; the
// range in use of deeper integers becomes [0, 1]; floats in [0, 1] are taken as they are.

import { noPixels, say } from './errors.js';

const LOW = 0.001;
const HIGH = 0.999;

export function fromUint8(values) {
  const out = new Float32Array(values.length);
  const step = Math.fround(1 / 255);
  for (let i = 0; i < values.length; i++) out[i] = values[i] * step;
  return out;
}

// Integers of 8 or 16 bits, signed or not: each possible value and how often it occurs. `index`
// looks a stored value up in the two.
export function histogram(values) {
  const size = 1 << (8 * values.BYTES_PER_ELEMENT);
  const wide = values.BYTES_PER_ELEMENT === 2;
  const signed = values instanceof Int16Array || values instanceof Int8Array;
  const Unsigned = wide ? Uint16Array : Uint8Array;
  const index = new Unsigned(values.buffer, values.byteOffset, values.length);
  const ramp = Float64Array.from({ length: size }, (_, i) => (signed && i >= size / 2 ? i - size : i));
  const counts = new Float64Array(size);
  for (let i = 0; i < index.length; i++) counts[index[i]] += 1;
  return { index, ramp, counts };
}

// The 0.1th and 99.9th percentile; smallest and largest where the two coincide.
export function robustRange(values, counts) {
  const [low, high] = percentiles(values, counts);
  if (low < high) return [low, high];
  let [least, most] = [Infinity, -Infinity];
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0) {
      least = Math.min(least, values[i]);
      most = Math.max(most, values[i]);
    }
  }
  return [least, most];
}

// The 0.1th and 99.9th percentile of `values`, each occurring `counts` times.
export function percentiles(values, counts) {
  const there = [];
  for (let i = 0; i < counts.length; i++) if (counts[i] > 0) there.push(i);
  there.sort((a, b) => values[a] - values[b]);
  let total = 0;
  for (const i of there) total += counts[i];
  return [LOW, HIGH].map((share) => {
    let below = 0;
    for (const i of there) {
      below += counts[i];
      if (below >= share * total) return values[i];
    }
    return values[there[there.length - 1]];
  });
}

// Linear from low to high, clipped to [0, 1]; all 0 where they coincide.
export function stretch(values, low, high) {
  const out = new Float32Array(values.length);
  if (!(high > low)) return out;
  const span = high * 0.5 - low * 0.5; // halved: the range of a double does not fit into one
  for (let i = 0; i < values.length; i++) {
    out[i] = Math.max(0, Math.min(1, (values[i] * 0.5 - low * 0.5) / span));
  }
  return out;
}

function fromFloats(values, warnings) {
  let low = Infinity;
  let high = -Infinity;
  let odd = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) odd += 1;
    else {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (odd === values.length) throw noPixels('nothing finite');
  let finite = values;
  if (odd) {
    finite = values.map((v) => (Number.isFinite(v) ? v : v === Infinity ? high : low));
    warnings.push(say('not finite', { count: odd }));
  }
  return low >= 0 && high <= 1 ? Float32Array.from(finite) : stretch(finite, low, high);
}

// A typed array of any kind to grey levels.
export function fromNumbers(values, warnings) {
  if (values instanceof Uint8Array || values instanceof Uint8ClampedArray) return fromUint8(values);
  if (values instanceof Float32Array || values instanceof Float64Array) {
    return fromFloats(values, warnings);
  }
  if (values.BYTES_PER_ELEMENT > 2) {
    const sorted = Float64Array.from(values).sort();
    const at = (share) => { // numpy's linear quantile
      const place = share * (sorted.length - 1);
      const below = Math.floor(place);
      const next = sorted[Math.min(below + 1, sorted.length - 1)];
      return sorted[below] + (place - below) * (next - sorted[below]);
    };
    return stretch(values, at(LOW), at(HIGH));
  }
  const { index, ramp, counts } = histogram(values);
  const table = stretch(ramp, ...robustRange(ramp, counts));
  return Float32Array.from(index, (i) => table[i]);
}

// Hasler and Suesstrunk (2003), on at most about 256 x 256 pixels of `channels` values, RGB first.
export function colourfulness({ data, height, width, channels }) {
  const step = Math.max(1, Math.ceil(Math.max(height, width) / 256));
  const sums = [0, 0, 0, 0];
  let count = 0;
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const at = (y * width + x) * channels;
      const [red, green, blue] = [data[at] / 255, data[at + 1] / 255, data[at + 2] / 255];
      const warm = red - green;
      const cold = (red + green) / 2 - blue;
      sums[0] += warm;
      sums[1] += warm * warm;
      sums[2] += cold;
      sums[3] += cold * cold;
      count += 1;
    }
  }
  const [warm, warm2, cold, cold2] = sums.map((sum) => sum / count);
  const spread = Math.hypot(
    Math.sqrt(Math.max(0, warm2 - warm * warm)), Math.sqrt(Math.max(0, cold2 - cold * cold)),
  );
  return spread + 0.3 * Math.hypot(warm, cold);
}

// ITU-R BT.601 luma of 8-bit RGB, rounded as OpenCV rounds it.
export function luma({ data, height, width, channels }) {
  const out = new Uint8Array(height * width);
  for (let i = 0, at = 0; i < out.length; i++, at += channels) {
    out[i] = (9798 * data[at] + 19235 * data[at + 1] + 3735 * data[at + 2] + 16384) >> 15;
  }
  return out;
}

// 8-bit picture of 1 to 4 channels -> grey and colourfulness; alpha goes onto black, a film's
// background. A picture of one shade that lives in its alpha channel alone is read from there.
export function flatten(picture, warnings) {
  const { data, height, width, channels } = picture;
  const colours = channels % 2 === 0 ? channels - 1 : channels;
  let flat = picture;
  if (colours < channels) {
    const alpha = new Uint8Array(height * width);
    let [low, high, oneShade] = [255, 0, true];
    for (let i = 0; i < alpha.length; i++) {
      alpha[i] = data[i * channels + colours];
      low = Math.min(low, alpha[i]);
      high = Math.max(high, alpha[i]);
      for (let c = 0; c < colours; c++) if (data[i * channels + c] !== data[c]) oneShade = false;
    }
    if (oneShade && low < high) {
      warnings.push(say('from transparency'));
      return { grey: alpha, colourfulness: 0 };
    }
    if (high === 0) warnings.push(say('hidden'));
    const onBlack = new Uint8Array(height * width * colours);
    for (let i = 0; i < alpha.length; i++) {
      const share = high ? alpha[i] : 255;
      for (let c = 0; c < colours; c++) {
        onBlack[i * colours + c] = Math.floor((data[i * channels + c] * share + 127) / 255);
      }
    }
    flat = { data: onBlack, height, width, channels: colours };
  }
  if (colours === 1) return { grey: flat.data, colourfulness: 0 };
  return { grey: luma(flat), colourfulness: colourfulness(flat) };
}

// A picture of 16-bit samples, 2 to 4 a pixel -> grey levels at full depth and colourfulness. All
// colours share one range; alpha has its own and goes onto black.
export function deepGrey({ data, height, width, channels }, warnings) {
  const colours = channels % 2 === 0 ? channels - 1 : channels;
  const count = height * width;
  const alpha = new Uint16Array(count);
  const shades = new Uint16Array(count * colours);
  let [low, high, oneShade] = [65535, 0, true];
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < colours; c++) {
      shades[i * colours + c] = data[i * channels + c];
      if (data[i * channels + c] !== data[c]) oneShade = false;
    }
    alpha[i] = colours < channels ? data[i * channels + colours] : 65535;
    low = Math.min(low, alpha[i]);
    high = Math.max(high, alpha[i]);
  }
  if (oneShade && low < high) {
    warnings.push(say('from transparency'));
    return { levels: fromNumbers(alpha, warnings), colourfulness: 0 };
  }
  const flat = fromNumbers(shades, warnings);
  if (high === 0) warnings.push(say('hidden'));
  const levels = new Float32Array(count);
  const eight = new Uint8Array(3 * count);
  for (let i = 0; i < count; i++) {
    const share = high ? alpha[i] / 65535 : 1;
    const [red, green, blue] = [0, 1, 2].map((c) => flat[i * colours + (colours === 1 ? 0 : c)] * share);
    [red, green, blue].forEach((level, c) => { eight[3 * i + c] = Math.round(255 * level); });
    levels[i] = red === green && green === blue ? red : 0.299 * red + 0.587 * green + 0.114 * blue;
  }
  return { levels, colourfulness: colourfulness({ data: eight, height, width, channels: 3 }) };
}
