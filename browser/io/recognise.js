// What a file's bytes are: 'dicom', a kind of picture, or a phrase for a person.

const PICTURES = [
  [[0xff, 0xd8, 0xff], 'jpeg'], [[0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10], 'png'],
  [[0x49, 0x49, 42, 0], 'tiff'], [[0x4d, 0x4d, 0, 42], 'tiff'],
  [[0x49, 0x49, 43, 0], 'tiff'], [[0x4d, 0x4d, 0, 43], 'tiff'], [[0x42, 0x4d], 'bmp'],
];
const OTHERS = [
  ['%PDF', 'a PDF document'],
  ['PK\x03\x04', 'a ZIP archive or an Office document'],
  ['PK\x05\x06', 'an empty ZIP archive'],
  ['\x1f\x8b', 'a gzip archive'],
  ['7z\xbc\xaf\x27\x1c', 'a 7-Zip archive'],
  ['Rar!', 'a RAR archive'],
  ['GIF8', 'a GIF picture'],
  ['8BPS', 'a Photoshop document'],
  ['\x00\x00\x00\x0cjP', 'a bare JPEG 2000 picture'],
  ['\xff\x4f\xff\x51', 'a bare JPEG 2000 picture'],
  ['\xd0\xcf\x11\xe0', 'an Office document'],
  ['\x7fELF', 'a program'],
  ['MZ', 'a program'],
];

export const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

export function recognise(bytes) {
  if (text(bytes, 128, 132) === 'DICM') return 'dicom';
  for (const [magic, kind] of PICTURES) {
    if (magic.every((byte, i) => bytes[i] === byte)) return kind;
  }
  if (text(bytes, 0, 4) === 'RIFF' && text(bytes, 8, 12) === 'WEBP') return 'webp';
  for (const [magic, phrase] of OTHERS) {
    if (text(bytes, 0, magic.length) === magic) return phrase;
  }
  if (text(bytes, 4, 8) === 'ftyp') return 'a HEIC or AVIF picture or a video';
  // DICOM without the 128-byte preamble starts with an element of group 2 or 8.
  const start = text(bytes, 0, 3);
  if (['\x02\0', '\x08\0'].includes(start.slice(0, 2)) || start === '\0\x08\0') return 'dicom';
  const head = text(bytes, 0, 512).replace(/^[\xef\xbb\xbf \t\r\n]+/, '').toLowerCase();
  if (/^(<!doctype html|<html|<\?xml|<svg)/.test(head)) return 'a web page or XML text';
  if (head && /^[\t\r\n\f\x20-\xff]*$/.test(head)) return 'text';
  return 'an unknown or damaged file';
}
