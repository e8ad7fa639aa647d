// The report: a sheet that only paper shows. The browser prints it, or saves it as PDF.

import { OUT_OF_SCOPE } from '../model/calibration.js';
import { chance, heading, local, meaning, partLimitations, subline, where } from './cards.js';
import { overlay } from './picture.js';
import { escape, word } from './words.js';

const SIDE = 1200;

// shown: { film, reading, source }; fields: [label, text] pairs that the reader typed.
export function writeSheet(sheet, shown, settings, fields, version) {
  const { reading, film } = shown;
  const judged = reading.decision !== OUT_OF_SCOPE;
  const row = ([label, text]) => `<tr><th>${escape(label)}</th><td>${escape(text)}</td></tr>`;
  const typed = fields.filter(([, text]) => text.trim());
  const facts = [['File', shown.source], ['Printed', new Date().toLocaleString()]];
  const places = reading.regions.map((region, i) => row([
    String(i + 1), `${where(region, reading)}, ${word('local')} ${local(region, reading)}`,
  ]));
  sheet.innerHTML = `<h1>${escape(word('title'))}</h1><p class="small">${escape(word('page').chip)}</p>`
    + `<table>${[...typed, ...facts].map(row).join('')}</table>`
    + `<h2>${escape(heading(reading.decision))}${judged ? `: ${escape(chance(reading))}` : ''}</h2>`
    + `<p>${escape(subline(reading))} ${escape(meaning(reading, settings.metrics))}</p>`
    + reading.warnings.map((text) => `<p><strong>${escape(text)}</strong></p>`).join('')
    + '<img alt="">'
    + (places.length ? `<h2>${escape(word('regions'))}</h2><table>${places.join('')}</table>` : '')
    + partLimitations(reading, settings.metrics).slice(0, 1)
      .map((text) => `<p class="small">${escape(word('weak'))}. ${escape(text)}</p>`).join('')
    + `<p class="small">${escape(word('pdf').limits)}</p>`
    + `<p class="small">${escape(version)}</p>`;
  const picture = overlay(film, reading, settings, { side: SIDE, heat: judged, boxes: judged });
  const image = sheet.querySelector('img');
  image.src = picture.toDataURL('image/png');
  return image.decode();
}
