// The worker that reads files. It is given its decoders when it is started, and asks nothing of any
// server. A decoder that never ends is ended by the page, with this worker.

import charls from '@cornerstonejs/codec-charls/decodewasmjs';
import jpegTurbo from '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs';
import openjpeg from '@cornerstonejs/codec-openjpeg/decodewasmjs';
import openjph from '@cornerstonejs/codec-openjph';
import webp from '@jsquash/webp/codec/dec/webp_dec.js';

import { readDicom } from './dicom.js';
import { FilmError, say, tooLarge, unreadable, useSentences } from './errors.js';
import { checkBytes, checkSize } from './limits.js';
import { isMemory, isPicture, readPicture } from './picture.js';
import { recognise } from './recognise.js';
import { filmAlone } from './screenshot.js';

const FACTORIES = {
  jpeg: jpegTurbo, jpeg_ls: charls, jpeg_2000: openjpeg, htj2k: openjph, webp,
};
let rules = null;

function start({ settings, binaries }) {
  useSentences(settings.sentences);
  const codecs = {};
  for (const [name, factory] of Object.entries(FACTORIES)) {
    let made = null;
    const quiet = { print: () => {}, printErr: () => {} };
    codecs[name] = () => (made ??= factory({ wasmBinary: binaries[name], ...quiet }));
  }
  const { limits, syntaxes, words, screenshot } = settings;
  rules = { limits, syntaxes, words, screenshot, codecs };
}

// Bytes -> a film: { data, height, width, colourfulness, facts, warnings }.
async function read(bytes, frame) {
  const context = { ...rules, frame };
  checkBytes(rules.limits, bytes.length);
  if (!bytes.length) throw unreadable('empty');
  const kind = recognise(bytes);
  let film;
  if (isPicture(kind)) film = await readPicture(kind, bytes, context);
  else if (kind === 'dicom') film = await readDicom(bytes, context);
  else throw unreadable('not a film', { kind });
  // Not of DICOM, whose objects speak of the file's own pixels.
  if (kind !== 'dicom' && film.facts.bits === 8) film = filmAlone(film, rules.screenshot);
  checkSize(rules.limits, film.width, film.height);
  if (film.data.every((value) => value === film.data[0])) film.warnings.push(say('one shade'));
  return film;
}

self.onmessage = async ({ data: { id, what, bytes, frame, ...rest } }) => {
  try {
    if (what === 'start') {
      start(rest);
      self.postMessage({ id });
      return;
    }
    const film = await read(new Uint8Array(bytes), frame);
    self.postMessage({ id, film }, [film.data.buffer]);
  } catch (error) {
    const known = isMemory(error) ? tooLarge('memory') : error;
    if (known instanceof FilmError) {
      const { kind, message, frames } = known;
      self.postMessage({ id, error: { kind, message, frames } });
    } else {
      self.postMessage({ id, failed: String(error?.message ?? error) });
    }
  }
};
