// A worklist: local films read one after another and sorted by urgency. Of each film only its row
// and a thumbnail are kept.

import { OUT_OF_SCOPE } from '../model/calibration.js';
import { tag } from './cards.js';
import { overlay } from './picture.js';
import { decisionOf, record, save, sorted, toCsv, toJson, UNREAD } from './results.js';
import { escape, percent, say, sayHere, word } from './words.js';

const MOST = 500;
const SIDE = 116;
const ask = (selector) => document.querySelector(selector);

export class Worklist {
  #engine;
  #settings;
  #open;
  #items = []; // { entry, file, thumbnail }
  #run = 0;

  // open(file): shows a film in its own tab.
  constructor(engine, settings, open) {
    this.#engine = engine;
    this.#settings = settings;
    this.#open = open;
    ask('#worklist-hint').textContent = word('page')['worklist info'];
    for (const id of ['#films', '#folder']) {
      ask(id).addEventListener('change', (event) => {
        this.read([...event.target.files]);
        event.target.value = '';
      });
    }
    ask('#stop').addEventListener('click', () => { this.#run += 1; });
    ask('#csv').addEventListener('click', () => {
      save('worklist.csv', 'text/csv', toCsv(this.#entries(), settings.columns));
    });
    ask('#json').addEventListener('click', () => {
      save('worklist.json', 'application/json', toJson(this.#entries()));
    });
    ask('#worklist-table').addEventListener('click', (event) => {
      const button = event.target.closest('[data-open]');
      if (button) this.#open(this.#items[Number(button.dataset.open)].file);
    });
  }

  async read(files) {
    const run = ++this.#run;
    const films = files.filter((file) => !/(^|\/)\.|DICOMDIR$/.test(pathOf(file))).slice(0, MOST);
    this.#items = [];
    this.#table();
    this.#buttons(true);
    if (!films.length) {
      this.#progress(0, 0, sayHere('none'));
      this.#buttons(false);
      return;
    }
    const note = files.length > MOST ? `${sayHere('too many', { count: files.length, most: MOST })} ` : '';
    for (const [done, file] of films.entries()) {
      this.#progress(done, films.length, note + sayHere('progress', { done, total: films.length }));
      const answer = await this.#engine.read(file);
      if (run !== this.#run) break;
      this.#add(file, answer);
    }
    if (run !== this.#run && this.#run > run + 1) return; // another list was begun
    const done = this.#items.length;
    const key = done < films.length ? 'stopped' : 'done';
    this.#progress(done, films.length, note + sayHere(key, { done, total: films.length }));
    this.#buttons(false);
  }

  #add(file, answer) {
    const entry = record(pathOf(file), answer, this.#settings);
    let thumbnail = null;
    if (answer.reading) {
      const heat = answer.reading.decision !== OUT_OF_SCOPE;
      thumbnail = overlay(answer.film, answer.reading, this.#settings, { side: SIDE, heat });
      thumbnail.style.width = `${thumbnail.width / 2}px`;
    }
    this.#items.push({ entry, file, thumbnail });
    this.#table();
  }

  #entries() {
    return this.#items.map(({ entry }) => entry);
  }

  #buttons(running) {
    ask('#stop').disabled = !running;
    for (const id of ['#csv', '#json']) ask(id).disabled = running || !this.#items.length;
  }

  #progress(done, total, words) {
    const share = total ? (100 * done) / total : 0;
    ask('#worklist-progress').innerHTML = `<div class="fd-progress"><p class="fd-hint" role="status">${escape(words)}</p>`
      + (total ? `<div class="bar" role="progressbar" aria-label="${escape(word('films read'))}" aria-valuemin="0" aria-valuemax="${total}" aria-valuenow="${done}"><i style="width:${share.toFixed(1)}%"></i></div>` : '')
      + '</div>';
  }

  #table() {
    if (!this.#items.length) {
      ask('#worklist-table').innerHTML = '';
      return;
    }
    const classes = { 3: ' class="num"', 4: ' class="wide"' };
    const heads = word('columns').map((text, i) => `<th scope="col"${classes[i] ?? ''}>${escape(text)}</th>`).join('');
    const place = new Map(this.#items.map((item, i) => [item.entry, i]));
    const rows = sorted(this.#entries()).map((entry, i) => rowHtml(i + 1, entry, place.get(entry)));
    ask('#worklist-table').innerHTML = '<div class="fd-scroll" tabindex="0" role="region" aria-label="Worklist">'
      + `<table class="fd-table"><thead><tr>${heads}</tr></thead>`
      + `<tbody>${rows.join('')}</tbody></table></div>`;
    for (const cell of document.querySelectorAll('[data-thumbnail]')) {
      const { thumbnail } = this.#items[Number(cell.dataset.thumbnail)];
      if (thumbnail) cell.append(thumbnail);
    }
  }
}

const pathOf = (file) => file.webkitRelativePath || file.name;

function rowHtml(number, entry, index) {
  const decision = decisionOf(entry);
  const read = decision !== UNREAD;
  const verdict = read ? tag(decision) : `<strong>${escape(word('unread'))}</strong>`;
  const chance = read && decision !== OUT_OF_SCOPE ? percent(entry.probability) : '';
  let note = entry.error?.message ?? (entry.scope.reason || entry.warnings.join(' '));
  if (!note && entry.regions?.length) note = say('strongest', { score: percent(Math.min(entry.regions[0].score, entry.probability)) });
  const name = escape(entry.file);
  return `<tr data-decision="${escape(decision)}"><td class="num">${number}</td><td data-thumbnail="${index}"></td>`
    + `<td>${verdict}</td><td class="num">${escape(chance)}</td><td class="wide">${escape(note)}</td>`
    + `<td><button type="button" class="site-open" data-open="${index}" aria-label="${escape(sayHere('open', { name: entry.file }))}">${name}</button></td></tr>`;
}
