// How readings are written down, as `detector` writes them: JSON records, rows of CSV.

import { FRACTURE_LIKELY, NO_FRACTURE_SEEN, OUT_OF_SCOPE, UNCERTAIN } from '../model/calibration.js';

export const UNREAD = 'not read';
// Most urgent first. A file that was not read waits for a person just as an uncertain film does.
const URGENCY = [FRACTURE_LIKELY, UNCERTAIN, UNREAD, OUT_OF_SCOPE, NO_FRACTURE_SEEN];

const round = (value, digits) => Number(value.toFixed(digits));

// A name that a spreadsheet would take for a formula gets `./` in front.
const written = (name) => (/^[=+\-@\t\r]/.test(name) ? `./${name}` : name);

// One film's record: what `Prediction.to_dict` holds, or why it was not read.
export function record(name, { reading, error }, { model, notes }) {
  const file = written(name);
  if (error) return { file, error: { kind: error.kind, message: error.message } };
  const { probability, decision, regions, scope, width, height, warnings, missing } = reading;
  const { familiarity, anatomy, calibration, pixel_aspect } = reading;
  const fractured = probability >= 0.5;
  return {
    file,
    label: fractured ? 'fractured' : 'not fractured',
    probability: round(probability, 4),
    confidence: round(Math.max(probability, 1 - probability), 4),
    decision,
    regions: regions.map((region) => ({
      x: round(region.x, 1), y: round(region.y, 1),
      width: round(region.width, 1), height: round(region.height, 1),
      score: round(region.score, 4),
    })),
    scope: { in_scope: scope.inScope, score: round(scope.score, 3), reason: scope.reason },
    familiarity: familiarity && {
      familiar: familiarity.familiar, score: round(familiarity.score, 3),
      reason: familiarity.familiar ? '' : notes.unfamiliar,
    },
    anatomy: anatomy && { region: anatomy.region, probability: round(anatomy.probability, 3) },
    operating_points: { rule_out: round(calibration.rule_out, 4), rule_in: round(calibration.rule_in, 4) },
    film: {
      width, height, ...(missing ? { missing } : {}), ...(pixel_aspect ? { pixel_aspect } : {}),
    },
    warnings,
    method: 'gradcam',
    model,
  };
}

export const decisionOf = (entry) => entry.decision ?? UNREAD;

export function sorted(entries) {
  const rank = (entry) => URGENCY.indexOf(decisionOf(entry));
  return [...entries].sort((a, b) => rank(a) - rank(b)
    || (b.probability ?? 0) - (a.probability ?? 0)
    || (a.file < b.file ? -1 : a.file > b.file ? 1 : 0));
}

function row(entry) {
  if (entry.error) {
    return { file: entry.file, error_kind: entry.error.kind, error: entry.error.message };
  }
  const { x, y, width, height, score } = entry.regions[0] ?? {};
  const { file, label, probability, confidence, decision } = entry;
  return {
    file, label, probability, confidence, decision, x, y, width, height, score,
    regions: entry.regions.length, in_scope: entry.scope.in_scope ? 'True' : 'False',
    scope_reason: entry.scope.reason, warnings: entry.warnings.join(' '),
    model_version: entry.model.version, model_sha256: entry.model.sha256,
  };
}

function cell(value) {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function toCsv(entries, columns) {
  const lines = sorted(entries).map((entry) => {
    const cells = row(entry);
    return columns.map((column) => cell(cells[column])).join(',');
  });
  return `\ufeff${[columns.join(','), ...lines].join('\r\n')}\r\n`;
}

export const toJson = (entries) => JSON.stringify(sorted(entries), null, 1);

export function save(name, kind, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
