// DICOM's RLE (PS3.5 annex G): each byte of each sample in a segment of its own, packed as PackBits.

import { signed } from './compressed.js';
import { tags } from './header.js';

export async function decodeRle(stream, header) {
  const rows = header.number(tags.rows, 0);
  const columns = header.number(tags.columns, 0);
  const channels = header.number(tags.samples, 1);
  const width = header.number(tags.allocated, 8) / 8; // bytes of a sample
  const count = rows * columns;
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength);
  const segments = view.getUint32(0, true);
  if (segments !== channels * width || width > 2) throw new RangeError('segments');
  const bytes = new Uint8Array(count * channels * width);
  for (let segment = 0; segment < segments; segment++) {
    const start = view.getUint32(4 + 4 * segment, true);
    const end = segment + 1 < segments ? view.getUint32(8 + 4 * segment, true) : stream.length;
    const channel = Math.floor(segment / width);
    const offset = width - 1 - (segment % width); // the highest byte comes first
    unpack(stream.subarray(start, end), count, (value, i) => {
      bytes[(i * channels + channel) * width + offset] = value;
    });
  }
  return { data: signed(width === 2 ? new Uint16Array(bytes.buffer) : bytes, header), channels };
}

function unpack(packed, count, put) {
  let out = 0;
  for (let at = 0; at < packed.length && out < count; ) {
    const head = packed[at++];
    if (head < 128) {
      for (let i = 0; i <= head && out < count; i++) put(packed[at++], out++);
    } else if (head > 128) {
      const value = packed[at++];
      for (let i = 0; i < 257 - head && out < count; i++) put(value, out++);
    }
  }
  if (out < count) throw new RangeError('segment cut short');
}
