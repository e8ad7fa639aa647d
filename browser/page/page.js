// The page: fetch and check its parts, close its connections, start, and wait for films.

import { Model, Reader, usableThreads } from './engine.js';
import { useLooks, weakPoints } from './cards.js';
import { FilmTab } from './film.js';
import { fetchParts, PartError } from './parts.js';
import { escape, here, sayHere, useWords } from './words.js';
import { Worklist } from './worklist.js';

// Put in by the build: the parts with their digests, and the words that are needed before they come.
const { parts: PARTS, software: SOFTWARE, words: FIRST_WORDS } = BUILD;
// A module of one function that adds two vectors: what every browser that can run the model accepts.
const SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

const ask = (selector) => document.querySelector(selector);
const base = new URL('./', import.meta.url);
const page = base.pathname.split('/').at(-2); // its folder is named by its content

class StartError extends Error {}

function state(text, share = null) {
  ask('#state').innerHTML = escape(text)
    + (share === null ? '' : `<progress value="${share}" max="1" aria-label="${escape(text)}"></progress>`);
}

function checkBrowser() {
  const able = typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(SIMD))
    && typeof DecompressionStream === 'function' && crypto.subtle;
  if (!able) throw new StartError(here('old browser'));
}

// From here on the browser refuses every connection of this page and of the workers it starts.
function closeConnections() {
  const rule = document.createElement('meta');
  rule.httpEquiv = 'Content-Security-Policy';
  rule.content = "connect-src 'none'; img-src data: blob:; media-src 'none'; frame-src 'none'";
  document.head.append(rule);
}

async function start() {
  checkBrowser();
  const parts = await fetchParts(base, PARTS, (share, bytes) => state(sayHere('loading', {
    percent: Math.round(100 * share), megabytes: (bytes / 1e6).toFixed(0),
  }), share)).catch((error) => {
    throw new StartError(here(error instanceof PartError ? 'damaged part' : 'no network'));
  });
  const settings = JSON.parse(new TextDecoder().decode(parts.settings));
  useWords(settings.words);
  useLooks(settings.looks);
  settings.table = Uint8Array.from(atob(settings.table_text), (c) => c.charCodeAt(0));
  const offline = keepForOffline();
  closeConnections();
  state(here('starting'));
  const model = await Model.start(base, parts, settings).catch((error) => {
    console.error(error);
    throw new StartError(here('little memory'));
  });
  await model.warmUp();
  const reader = await Reader.start(base, parts, settings);
  return { parts, settings, model, reader, offline };
}

// The service worker keeps the page, so that it opens without a network; not every frame may.
async function keepForOffline() {
  try {
    await navigator.serviceWorker.register(new URL('../../sw.js', base));
    await navigator.serviceWorker.ready;
    return true;
  } catch {
    return false;
  }
}

class Engine {
  constructor(reader, model) {
    Object.assign(this, { reader, model });
  }

  // File -> { film, reading, digits } or { error }.
  async read(file, frame = null) {
    try {
      const bytes = await file.arrayBuffer();
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const { film, error } = await this.reader.read(bytes, frame);
      if (error) return { error };
      const read = await this.model.read(film);
      const { missing = 0, pixel_aspect } = film.facts;
      const reading = { ...read, warnings: [...film.warnings, ...read.warnings], missing, pixel_aspect };
      const hex = Array.from(digest.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0'));
      return { film, reading, digits: hex.join('') };
    } catch (error) {
      console.error(error);
      return { error: { kind: 'broken', message: here('broken') } };
    }
  }
}

function tabs() {
  const all = [...document.querySelectorAll('[role="tab"]')];
  const select = (tab) => all.forEach((other) => {
    const chosen = other === tab;
    other.setAttribute('aria-selected', String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    ask(`#${other.getAttribute('aria-controls')}`).hidden = !chosen;
  });
  all.forEach((tab, i) => {
    tab.addEventListener('click', () => select(tab));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = all[(i + step + all.length) % all.length];
      select(next);
      next.focus();
    });
  });
  return { select: (name) => select(ask(`#tab-${name}`)), is: (name) => !ask(`#${name}`).hidden };
}

// Films that are dropped, pasted or chosen; beside a drop zone counts as in it.
function takeFilms(tab, film, worklist) {
  const give = (files) => {
    if (!files.length) return;
    if (tab.is('worklist')) worklist.read(files);
    else if (files.length > 1) film.refuse(sayHere('several', { count: files.length }));
    else {
      tab.select('film');
      film.open(files[0]);
    }
  };
  ask('#file').addEventListener('change', (event) => {
    give([...event.target.files]);
    event.target.value = '';
  });
  document.addEventListener('dragover', (event) => event.preventDefault());
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    give([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener('paste', (event) => {
    if (event.target.closest?.('input, textarea')) return;
    give([...(event.clipboardData?.files ?? [])]);
  });
}

function showExamples(examples, parts, film) {
  const list = ask('#examples ul');
  examples.forEach((example, i) => {
    const file = new File([parts[`example_${i}`]], `${example.title}.png`, { type: 'image/png' });
    const item = document.createElement('li');
    item.innerHTML = `<button type="button"><img alt=""><span>${escape(example.title)}</span></button>`;
    item.querySelector('img').src = URL.createObjectURL(file);
    item.querySelector('button').addEventListener('click', () => film.open(file, { example }));
    list.append(item);
  });
  ask('#examples').hidden = !examples.length;
}

function theme() {
  const root = document.documentElement;
  root.classList.toggle('dark', matchMedia('(prefers-color-scheme: dark)').matches);
  ask('#theme').addEventListener('click', () => root.classList.toggle('dark'));
}

async function main() {
  theme();
  const tab = tabs();
  useWords({ here: FIRST_WORDS });
  let started;
  try {
    started = await start();
  } catch (error) {
    state(error instanceof StartError ? error.message : here('broken'));
    ask('.site-local').classList.add('failed');
    throw error;
  }
  const { parts, settings, model, reader, offline } = started;
  const threads = usableThreads();
  const version = sayHere('version', { ...settings.model, software: SOFTWARE, page });
  const engine = new Engine(reader, model);
  const film = new FilmTab(engine, settings, version);
  const worklist = new Worklist(engine, settings, (file) => {
    tab.select('film');
    film.open(file);
  });
  showExamples(settings.examples, parts, film);
  takeFilms(tab, film, worklist);
  ask('#private').innerHTML = here('private').map((text) => `<li>${escape(text)}</li>`).join('');
  ask('#weak').innerHTML = weakPoints(settings.metrics, [], true);
  ask('#version').textContent = version;
  const where = threads > 1 ? sayHere('threads', { count: threads }) : here('one thread');
  state(sayHere('ready', { threads: where }));
  offline.then((kept) => { if (kept) state(`${sayHere('ready', { threads: where })} ${here('offline')}`); });
  globalThis.fracture = { engine, reader, model, settings };
  document.body.classList.add('ready');
}

main();
