// One film's reading: prepare, run, decide, explain. `run` is the network: canvas -> logit,
// evidence and embedding.

import { decide, NO_FRACTURE_SEEN, OUT_OF_SCOPE, probability } from './calibration.js';
import { calibrationOf, familiarityOf } from './familiarity.js';
import { apply, fit, mapToFilm } from './letterbox.js';
import { check } from './ood.js';
import { findRegions } from './regions.js';

export const HEAT_SIDE = 1024; // longest side of the heat that is drawn; it is smooth

// film: { data, height, width, colourfulness }
export async function read(config, film, run) {
  const box = fit(film.height, film.width, config.preprocessing.input_size);
  const canvas = apply(box, film);
  const output = await run(canvas);
  const familiarity = familiarityOf(config.familiarity, output.embedding);
  const calibration = calibrationOf(config, familiarity);
  const chance = probability(calibration.image, output.logit);
  const inner = {
    data: canvas.data, stride: canvas.width, height: box.inner[0], width: box.inner[1],
  };
  const scope = check(config.ood, output.embedding, inner, film.colourfulness);
  const decision = decide(calibration, chance, scope.inScope);
  const clear = decision === NO_FRACTURE_SEEN || decision === OUT_OF_SCOPE;
  return {
    probability: chance, decision, scope, familiarity, calibration, logit: output.logit,
    regions: clear ? [] : findRegions({ ...config, calibration }, box, output.evidence),
    heat: heat(calibration, box, output.evidence),
    width: film.width, height: film.height,
  };
}

// The calibrated probability of a fracture at each place, 0 to 255, over the film.
function heat(calibration, box, evidence) {
  const factor = Math.min(1, HEAT_SIDE / Math.max(box.height, box.width));
  const rows = Math.max(1, Math.round(box.height * factor));
  const columns = Math.max(1, Math.round(box.width * factor));
  const map = mapToFilm(box, evidence, rows, columns);
  const data = Uint8Array.from(map.data, (v) => Math.round(255 * probability(calibration.location, v)));
  return { data, height: rows, width: columns };
}
