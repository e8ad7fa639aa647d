// The page's pieces of HTML: verdict, gauge, regions, errors. Every text is escaped here.

import {
  FRACTURE_LIKELY, likelihoodRatio, NO_FRACTURE_SEEN, OUT_OF_SCOPE, postTest, UNCERTAIN,
} from '../model/calibration.js';
import { escape, percent, say, toldApart, word } from './words.js';

export const [PRESENT, ABSENT, UNSURE] = ['present', 'absent', 'unsure'];
const NEAR = 0.04; // a mark this share of the film's longest side beside a region still lies in it

let looks = {}; // decision -> style and icon

export function useLooks(given) {
  looks = given;
}

export const heading = (decision) => word('verdicts')[decision].heading;

function icon(decision) {
  return '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
    + 'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">'
    + `${looks[decision].icon}</svg>`;
}

export function tag(decision) {
  return `<span class="fd-tag fd-${looks[decision].style}">${icon(decision)}${escape(heading(decision))}</span>`;
}

// The verdict itself: icon, words, probability, what to do, and which film it is of.
export function headline(reading, source) {
  const unit = escape(word('number')).replace('\n', '<br>');
  const number = reading.decision === OUT_OF_SCOPE ? ''
    : `<p class="fd-number"><b>${escape(chance(reading))}</b><span>${unit}</span></p>`;
  const missing = reading.missing
    ? `<p class="fd-missing"><strong>${escape(say('missing', { share: percent(reading.missing, 1) }))}</strong></p>` : '';
  return `<div class="fd-card fd-verdict fd-${looks[reading.decision].style}" role="status" data-decision="${escape(reading.decision)}">`
    + `<div class="fd-banner">${icon(reading.decision)}<div><h2>${escape(heading(reading.decision))}</h2>`
    + `<p class="fd-sub">${escape(subline(reading))}</p>${missing}</div>${number}</div>`
    + `${ofFilm(source)}</div>`;
}

const ofFilm = (source) => (source
  ? `<p class="fd-source" translate="no" dir="auto">${escape(source)}</p>` : '');

// Below the headline. example: { said, synthetic } of one of the page's own films.
export function verdictCard(reading, { metrics }, example = {}) {
  const note = (text) => `<p class="fd-small fd-note">${escape(text)}</p>`;
  const parts = [
    reading.decision === OUT_OF_SCOPE ? '' : gauge(reading),
    `<p>${escape(meaning(reading, metrics))}</p>`,
    example.said ? `<p><strong>${escape(example.said)}</strong></p>` : '',
    example.synthetic ? note(word('synthetic')) : '',
    ...reading.warnings.map(note),
    reading.regions.length ? regionsList(reading) : '',
    weakPoints(metrics, partLimitations(reading, metrics)),
  ];
  return `<div class="fd-card"><div class="fd-body">${parts.join('')}</div></div>`;
}

// The film's probability, and a threshold, each with the digits that tell it from the other.
export const chance = ({ probability, calibration }) => toldApart(probability, calibration.rule_out, calibration.rule_in);
const threshold = ({ probability }, at) => toldApart(at, probability);

// A region's probability as shown: never more than its film's.
export const local = (region, { probability }) => percent(Math.min(region.score, probability));

export function subline({ decision, regions, calibration: { rule_in } }) {
  if (decision === FRACTURE_LIKELY) {
    if (!regions.length) return word('sub without region');
    if (regions.every((region) => region.score < rule_in)) return word('sub weak regions');
  }
  return word('verdicts')[decision].sub;
}

function gauge(reading) {
  const { rule_out: low, rule_in: high } = reading.calibration;
  const zones = [low, high - low, 1 - high]
    .map((width, i) => `<i class="z${i}" style="flex:${Math.max(width, 0.001).toFixed(4)} 0 0"></i>`);
  const apart = high - low > 0.28;
  const ticks = [
    [low, word('rule out'), low < 0.1 ? 'near' : apart ? '' : 'far'],
    [high, word('rule in'), high > 0.9 ? 'far' : apart ? '' : 'near'],
  ].map(([at, text, side]) => `<span class="fd-tick ${side}" style="left:${(100 * at).toFixed(2)}%">`
    + `${escape(text)}<br>${escape(threshold(reading, at))}</span>`);
  const said = say('gauge', {
    probability: chance(reading), low: threshold(reading, low), high: threshold(reading, high),
  });
  return `<div class="fd-gauge" dir="ltr" role="img" aria-label="${escape(said)}">`
    + `<div class="fd-track">${zones.join('')}</div>`
    + `<div class="fd-needle" style="left:${(100 * reading.probability).toFixed(2)}%"></div>${ticks.join('')}</div>`;
}

export function meaning(reading, metrics) {
  const { decision, scope, calibration, familiarity } = reading;
  if (decision === OUT_OF_SCOPE) {
    return say('means out of scope', { reason: word('ood')[scope.why] ?? scope.reason });
  }
  const [key, point] = {
    [FRACTURE_LIKELY]: ['means likely', 'rule_in'],
    [NO_FRACTURE_SEEN]: ['means none', 'rule_out'],
    [UNCERTAIN]: ['means uncertain', 'rule_out'],
  }[decision];
  return say(key, {
    low: threshold(reading, calibration.rule_out), high: threshold(reading, calibration.rule_in),
    figures: familiarity?.familiar === false ? '' : figures(metrics, point),
  });
}

// How a threshold did on the main test set; empty when that was not measured.
function figures({ operating_points, fractured }, point) {
  const measured = operating_points[point];
  if (!measured) return '';
  const of = ({ value, low, high }) => say('interval', {
    value: percent(value), low: Math.round(100 * low), high: Math.round(100 * high),
  });
  return say(`figures ${point}`, {
    films: measured.films, fractured, found: Math.round(measured.sensitivity.value * fractured),
    sensitivity: of(measured.sensitivity), specificity: of(measured.specificity),
  });
}

// Those of the card's limitations that are of the part of the body which the film shows.
export function partLimitations({ anatomy }, { limitations = [], parts = {} }) {
  const groups = parts[anatomy?.region] ?? [];
  const named = (text, group) => text.split(group).slice(1).some((after) => !/^\w/.test(after));
  return limitations.filter((text) => groups.some((group) => named(text, group)));
}

// ofPart: the limitations that come first.
export function weakPoints({ limitations = [] }, ofPart = [], open = false) {
  const [first, ...rest] = [...ofPart, ...limitations.filter((text) => !ofPart.includes(text))];
  const items = [...rest, ...word('always weak')].map((text) => `<li>${escape(text)}</li>`);
  return (first ? `<p class="fd-small fd-note">${escape(first)}</p>` : '')
    + `<details class="fd-more"${open ? ' open' : ''}><summary>${escape(word('weak'))}</summary>`
    + `<ul>${items.join('')}</ul></details>`;
}

function regionsList(reading) {
  const { rule_in } = reading.calibration;
  const rows = reading.regions.map((region, i) => `<li><button type="button" data-region="${i}">`
    + `<span class="n">${i + 1}</span><span>${escape(where(region, reading))}<br><small>`
    + `${Math.round(region.width)} &times; ${Math.round(region.height)} px`
    + `${region.score < rule_in ? `, ${escape(word('dashed'))}` : ''}</small></span>`
    + `<span class="p">${escape(local(region, reading))}</span></button></li>`);
  const above = reading.regions.some((region) => region.score > reading.probability);
  return `<h3 class="fd-marked">${escape(word('regions'))} <small>${escape(word('local'))}</small></h3>`
    + `<ul class="fd-regions">${rows.join('')}</ul>`
    + (above ? `<p class="fd-small">${escape(word('local how'))}</p>` : '');
}

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

// Where a region lies, in words: "Upper left of image (wrist or hand)", the part where it is named.
export function where(region, { width, height, anatomy }) {
  const third = (at, side) => Math.min(2, Math.floor((3 * at) / side));
  const row = third(region.y + region.height / 2, height);
  const column = third(region.x + region.width / 2, width);
  const place = capital(row === 1 && column === 1 ? word('centre')
    : say('of the film', { down: word('down')[row], across: word('across')[column] }));
  const part = anatomy?.region;
  return part ? say('of a part', { where: place, part: word('parts')[part] ?? part }) : place;
}

// The picture in words, for those who cannot see it.
export function describe(reading) {
  const size = say('size', reading);
  if (!reading.regions.length) return `${size} ${word('no place marked')}`;
  const places = reading.regions.map((region) => where(region, reading)).join('; ');
  return `${size} ${say('places marked', { places })}`;
}

// The reader's answer beside the model's. own: PRESENT, ABSENT or UNSURE; mark: [x, y] or null.
export function agreement(reading, own, mark) {
  const decided = [FRACTURE_LIKELY, NO_FRACTURE_SEEN].includes(reading.decision);
  const same = (reading.decision === FRACTURE_LIKELY) === (own === PRESENT);
  let [title, advice] = ['stands', reading.decision === OUT_OF_SCOPE ? '' : 'no side'];
  if (own === UNSURE) [title, advice] = ['was unsure', ''];
  else if (decided) [title, advice] = same ? ['agree', ''] : ['disagree', 'look again'];
  const sentences = [
    say('both', { yours: word(own).toLowerCase(), models: heading(reading.decision).toLowerCase() }),
    advice ? word(advice) : '',
    mark ? whereMarked(reading, mark) : '',
  ];
  return `<div class="fd-card"><h2>${escape(word(title))}</h2>`
    + `${sentences.filter(Boolean).map((text) => `<p>${escape(text)}</p>`).join('')}</div>`;
}

function whereMarked(reading, [x, y]) {
  if (!reading.regions.length) return word('model marks none');
  const distances = reading.regions.map((region) => Math.hypot(
    Math.max(region.x - x, 0, x - region.x - region.width),
    Math.max(region.y - y, 0, y - region.y - region.height),
  ));
  const nearest = distances.indexOf(Math.min(...distances));
  if (distances[nearest] <= NEAR * Math.max(reading.width, reading.height)) {
    return say('mark at', { number: nearest + 1 });
  }
  const strongest = where(reading.regions[0], reading);
  return say('mark elsewhere', { where: strongest.slice(0, 1).toLowerCase() + strongest.slice(1) });
}

// The film's likelihood ratio applied to the reader's own pre-test probability in percent. Where the
// slider starts nothing is changed: the calibration's exact share is taken.
export function postTestCard({ probability }, { calibration, metrics }, before) {
  const { prevalence } = calibration;
  const starts = before === startOf(calibration);
  const share = starts ? prevalence : before / 100;
  const after = starts ? probability : postTest(probability, prevalence, share);
  const ratio = likelihoodRatio(probability, prevalence);
  const digits = ratio < 10 ? String(Number(ratio.toPrecision(2))) : String(Math.round(ratio));
  const strength = ratio < 0.01 ? word('below') : ratio > 100 ? word('above') : digits;
  const said = starts ? say('post as calibrated', { before }) : say('post', { before, ratio: strength });
  const lines = ofAHundred(metrics, share).map((line) => `<li>${escape(line)}</li>`);
  return `<div class="fd-post" role="status"><b>${escape(percent(after))}</b><span>${escape(said)}</span></div>`
    + (lines.length ? `<div class="fd-worth fd-small"><p>${escape(say('of a hundred', { before }))}</p>`
      + `<ul>${lines.join('')}</ul></div>` : '');
}

export const startOf = ({ prevalence }) => Math.round(100 * prevalence);

// PPV, NPV and false alarms per 100 films, each with its interval, in a sentence.
function ofAHundred({ operating_points }, prevalence) {
  const { rule_in, rule_out } = operating_points;
  if (!rule_in || !rule_out) return [];
  const part = (true_, false_) => (true_ + false_ ? true_ / (true_ + false_) : 0);
  const rules = [
    ['ppv', rule_in, 100, (sens, spec) => part(sens * prevalence, (1 - spec) * (1 - prevalence))],
    ['npv', rule_out, 100, (sens, spec) => part(spec * (1 - prevalence), (1 - sens) * prevalence)],
    ['false alarms', rule_in, 0, (sens, spec) => 100 * (1 - spec) * (1 - prevalence)],
  ];
  return rules.map(([key, { sensitivity, specificity }, share, rule]) => {
    const [value, a, b] = ['value', 'low', 'high'].map((bound) => rule(sensitivity[bound], specificity[bound]));
    const shown = (v) => (share ? 100 * v : v).toFixed(0);
    return say(key, {
      value: share ? percent(value) : shown(value), low: shown(Math.min(a, b)), high: shown(Math.max(a, b)),
    });
  });
}

export function errorCard(sentence, title = word('not read'), source = '') {
  return `<div class="fd-card fd-error" role="alert"><h2>${escape(title)}</h2>`
    + `<p>${escape(sentence)}</p>${ofFilm(source)}</div>`;
}

export function card(title, ...sentences) {
  return `<div class="fd-card"><h2>${escape(title)}</h2>`
    + `${sentences.map((text) => `<p>${escape(text)}</p>`).join('')}</div>`;
}

export function emptyCard() {
  return `<div class="fd-card fd-empty"><h2>${escape(word('empty'))}</h2><ol>`
    + `${word('steps').map((step) => `<li>${escape(step)}</li>`).join('')}</ol></div>`;
}
