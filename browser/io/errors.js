// A film that cannot be read, with a sentence that a clinician can act on. The sentences are the
// detector's own; none quotes the file's text, which may hold patient data.

let sentences = {};

export function useSentences(given) {
  sentences = given;
}

export function say(key, values = {}) {
  if (!(key in sentences)) throw new Error(`no sentence for ${key}`);
  return sentences[key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

export class FilmError extends Error {
  constructor(kind, sentence, more = {}) {
    super(sentence);
    this.kind = kind;
    Object.assign(this, more);
  }
}

export const unreadable = (key, values) => new FilmError('unreadable', say(key, values));
export const unsupported = (key, values) => new FilmError('unsupported', say(key, values));
export const tooLarge = (key, values) => new FilmError('too large', say(key, values));
export const noPixels = (key, values) => new FilmError('no pixels', say(key, values));
