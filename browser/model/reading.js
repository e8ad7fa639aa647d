// One film's reading: prepare, run, decide, explain. `run` is the network: canvas -> logit,
// evidence and embedding.

import {
  decide, FRACTURE_LIKELY, NO_FRACTURE_SEEN, OUT_OF_SCOPE, probability, UNCERTAIN,
} from './calibration.js';
import { fileObjection } from './file_scope.js';
import { anatomyOf, familiarityOf } from './heads.js';
import { apply, fit, mapToFilm } from './letterbox.js';
import { check } from './ood.js';
import { findRegions } from './regions.js';

const HEAT_SIDE = 1024; // longest side of the heat that is drawn; it is smooth

// film: { data, height, width, colourfulness, facts }
export async function read(config, film, run) {
  const { facts = {} } = film;
  const box = fit(film.height, film.width, config.preprocessing.input_size, facts.pixel_aspect);
  const canvas = apply(box, film);
  const output = await run(canvas);
  let { calibration } = config;
  const chance = probability(calibration.image, output.logit);
  const familiarity = familiarityOf(config.heads, output.embedding);
  if (familiarity && !familiarity.familiar) {
    const { rule_out, rule_in } = config.heads.familiarity;
    const shown = Math.max(calibration.display_threshold, rule_out);
    calibration = { ...calibration, rule_out, rule_in, display_threshold: shown };
  }
  const anatomy = anatomyOf(config.heads, output.embedding, familiarity?.familiar ?? true);
  const inner = {
    data: canvas.data, stride: canvas.width, height: box.inner[0], width: box.inner[1],
  };
  let scope = check(config.ood, output.embedding, inner, film.colourfulness);
  const objection = fileObjection(config.file_scope, facts);
  if (objection) scope = { inScope: false, score: Math.max(scope.score, 2), reason: objection };
  let decision = decide(calibration, chance, scope.inScope);
  const clear = decision === NO_FRACTURE_SEEN || decision === OUT_OF_SCOPE;
  const regions = clear ? [] : findRegions({ ...config, calibration }, box, output.evidence);
  const warnings = [];
  if (decision === FRACTURE_LIKELY && !regions.length) {
    decision = UNCERTAIN; // nobody could look whether it is one
    warnings.push(config.notes.nowhere);
  }
  if (scope.inScope && familiarity && !familiarity.familiar) warnings.push(config.notes.unfamiliar);
  if (scope.inScope && facts.child) warnings.push(config.notes.growth_plates);
  return {
    probability: chance, decision, scope, regions, warnings, familiarity, anatomy,
    calibration, // with the operating points of such a film
    heat: heat(calibration, box, output.evidence),
    width: film.width, height: film.height,
  };
}

// The calibrated probability of a fracture at each location, 0 to 255, over the film.
function heat(calibration, box, evidence) {
  const factor = Math.min(1, HEAT_SIDE / Math.max(box.height, box.width));
  const rows = Math.max(1, Math.round(box.height * factor));
  const columns = Math.max(1, Math.round(box.width * factor));
  const map = mapToFilm(box, evidence, rows, columns);
  const data = Uint8Array.from(map.data, (v) => Math.round(255 * probability(calibration.location, v)));
  return { data, height: rows, width: columns };
}
