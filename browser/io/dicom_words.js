// The standard's own words for what a film shows, and nothing else that a header may say: a free text
// could name a patient.

import { tags } from './header.js';

const CHILD = /^(\d{3})([DWMY])$/;
const IN_A_YEAR = { D: 365, W: 52, M: 12, Y: 1 };

export function wordsOf(header, { modalities, other, limb_parts, other_parts, pairs, child_below }) {
  const facts = {};
  const modality = header.word(tags.modality);
  if (modality) facts.modality = modalities.includes(modality) ? modality : other;
  const part = bodyPart(header.word(tags.bodyPart), limb_parts, other_parts, pairs);
  if (part) facts.body_part = part;
  const age = CHILD.exec(header.word(tags.age)); // the age itself is not kept
  if (age && Number(age[1]) / IN_A_YEAR[age[2]] < child_below) facts.child = true;
  return facts;
}

// Of several words the first that is no part of a limb, where none of them is.
function bodyPart(text, limbs, others, pairs) {
  if (limbs.includes(text) || others.includes(text) || pairs.includes(text)) return text;
  const parts = text.match(/[A-Z]+/g) ?? [];
  if (parts.some((part) => limbs.includes(part))) return '';
  return [text.replace(/[ _-]/g, ''), ...parts].find((part) => others.includes(part)) ?? '';
}

// Height of a pixel over its width; 1 for square ones and where the header does not say. Nearer to
// square than a hundredth is rounding; farther from it than ten times, an error.
export function pixelAspect(header) {
  for (const tag of tags.spacings) {
    const pair = header.numbers(tag);
    if (pair.length === 2 && Math.min(...pair) > 0) {
      const aspect = pair[0] / pair[1];
      const apart = Math.max(aspect, 1 / aspect);
      return apart > 1.01 && apart <= 10 ? Math.round(1e4 * aspect) / 1e4 : 1;
    }
  }
  return 1;
}

// A pixel's size by the file, { mm: [down, across], kind }, or null: "calibrated" is corrected for
// magnification, "imager" holds in the detector's plane, "stated" comes without a word of its plane.
export function pixelSpacing(header) {
  const [own, imager] = tags.spacings.map((tag) => header.numbers(tag))
    .map((pair) => (pair.length === 2 && Math.min(...pair) > 0 ? pair : null));
  if (!own) return imager && { mm: imager, kind: 'imager' };
  if (imager && own.every((side, i) => side === imager[i])) return { mm: own, kind: 'imager' };
  return { mm: own, kind: header.has(tags.calibration) || imager ? 'calibrated' : 'stated' };
}
