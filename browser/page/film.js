// One film: in, verdict, viewer, read-first mode, pre-test probability, report.

import { OUT_OF_SCOPE } from '../model/calibration.js';
import { mountViewer } from 'viewer';
import {
  agreement, card, describe, emptyCard, errorCard, headline, postTestCard, PRESENT, startOf, verdictCard,
} from './cards.js';
import { filmLayer } from './picture.js';
import { writeSheet } from './report.js';
import { say, sayHere, word, here } from './words.js';

// The film in one line: name, frame, pixel size, first 8 digits of the digest, time.
function sourceLine(file, { width, height }, frame, digits) {
  const now = new Date();
  const time = new Date(now - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 19).replace('T', ' ');
  const number = frame === null ? '' : say('frame', { number: frame + 1 });
  return [file.name, number, `${width} × ${height} px`, `sha256 ${digits}`, time].filter(Boolean).join(' · ');
}

const ask = (selector) => document.querySelector(selector);

export class FilmTab {
  #engine;
  #settings;
  #version;
  #shown = null; // { film, reading, source, example, own, mark, revealed, id }
  #pending = null; // a file of several frames
  #turn = 0;
  #view;

  constructor(engine, settings, version) {
    this.#engine = engine;
    this.#settings = settings;
    this.#version = version;
    // What the page with a server gives the viewer; this page is in English, as its template is.
    const fd = { t: (key) => word('page')[key], translate: () => {} };
    this.#view = mountViewer(ask('#viewer'), (name, detail) => this.#marked(name, detail), fd);
    ask('#before').value = startOf(settings.calibration);
    ask('#verdict').innerHTML = emptyCard();
    ask('#formats').textContent = sayHere('formats', {
      megabytes: settings.limits.max_bytes / 1e6,
    });
    this.#listen();
  }

  // Reads a file and shows it, unless another one was asked for meanwhile.
  async open(file, { frame = null, example = {} } = {}) {
    const turn = ++this.#turn;
    this.#clear();
    this.#pending = file;
    document.body.classList.add('has-film');
    ask('#drop strong').textContent = here('another');
    ask('#verdict').innerHTML = card(sayHere('reading', { name: file.name }));
    ask('#verdict').setAttribute('aria-busy', 'true');
    const answer = await this.#engine.read(file, frame);
    if (turn !== this.#turn) return;
    ask('#verdict').setAttribute('aria-busy', 'false');
    const { film, reading, error } = answer;
    if (error) {
      const several = error.kind === 'several frames';
      ask('#frames').hidden = !several && frame === null;
      if (several) ask('#frame').max = error.frames;
      ask('#verdict').innerHTML = several
        ? errorCard(say('choose frame', error), word('which frame'), file.name)
        : errorCard(error.message, undefined, file.name);
      return;
    }
    ask('#frames').hidden = frame === null;
    const revealed = !ask('#blind').checked;
    this.#shown = {
      film, reading, source: sourceLine(file, film, frame, answer.digits), example, own: null,
      mark: null, revealed, id: `film ${turn}`,
    };
    this.#show();
  }

  refuse(sentence) {
    this.#turn += 1;
    this.#clear();
    ask('#verdict').innerHTML = errorCard(sentence);
  }

  // An older film's verdict must not stand beside a new film.
  #clear() {
    this.#shown = null;
    this.#pending = null;
    this.#view.show(null);
    for (const id of ['#frames', '#own', '#after', '#missing']) ask(id).hidden = true;
    ask('#agreement').innerHTML = '';
    for (const field of document.querySelectorAll('#report input, #report textarea')) field.value = '';
    ask('#own').reset();
    ask('#sheet').innerHTML = '';
  }

  #show() {
    const { reading, revealed, example, own, mark, source } = this.#shown;
    ask('#verdict').innerHTML = revealed
      ? headline(reading, source) + verdictCard(reading, this.#settings, example)
      : card(word('your turn'), word('read first'));
    ask('#own').hidden = revealed;
    ask('#agreement').innerHTML = revealed && own ? agreement(reading, own, own === PRESENT ? mark : null) : '';
    ask('#after').hidden = !revealed;
    ask('.site-post').hidden = reading.decision === OUT_OF_SCOPE;
    this.#post();
    this.#view.show(this.#message());
  }

  #message() {
    const { film, reading, revealed, mark, id, example } = this.#shown;
    const { calibration } = this.#settings;
    const { rule_in } = reading.calibration;
    this.#shown.layer ??= filmLayer(film);
    const { deep, layer } = this.#shown.layer;
    const heat = revealed && reading.decision !== OUT_OF_SCOPE;
    const { data: values, height, width } = reading.heat;
    return {
      id, deep, film: layer, width: film.width, height: film.height,
      aspect: film.facts.pixel_aspect ?? 1,
      heat: heat ? { values, height, width } : null,
      table: heat ? this.#settings.table_text : null,
      regions: heat ? reading.regions : [],
      truth: heat ? example.truth ?? [] : [],
      relative: false, marking: !revealed, mark,
      rule_in, shown_from: calibration.display_threshold,
      spacing: film.facts.pixel_spacing ?? null, frames: film.facts.frames ?? 1,
      alt: revealed ? describe(reading) : word('hidden'),
    };
  }

  #marked(name, { x, y, film }) {
    const shown = this.#shown;
    if (name !== 'mark' || !shown || shown.revealed || film !== shown.id) return;
    shown.mark = [x, y];
    ask('#own [value="present"]').checked = true;
  }

  #post() {
    const before = Number(ask('#before').value);
    ask('#before-shown').textContent = `${before} %`;
    if (this.#shown?.revealed) {
      ask('#post').innerHTML = postTestCard(this.#shown.reading, this.#settings, before);
    }
  }

  #listen() {
    ask('#before').addEventListener('input', () => this.#post());
    ask('#own').addEventListener('submit', (event) => {
      event.preventDefault();
      const chosen = new FormData(event.target).get('own');
      ask('#missing').hidden = Boolean(chosen);
      ask('#missing').textContent = chosen ? '' : word('choose first');
      if (!chosen || !this.#shown) return;
      Object.assign(this.#shown, { own: chosen, revealed: true });
      this.#show();
    });
    ask('#frames').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.#pending) this.open(this.#pending, { frame: (Number(ask('#frame').value) || 1) - 1 });
    });
    ask('#print').addEventListener('click', async () => {
      const shown = this.#shown;
      if (!shown) return;
      const fields = [...document.querySelectorAll('#report label')].map((label) => [
        label.firstChild.textContent, label.querySelector('input, textarea').value,
      ]);
      await writeSheet(ask('#sheet'), shown, this.#settings, fields, this.#version);
      window.print();
    });
  }
}
