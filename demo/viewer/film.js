// The film viewer: everything here is answered in the browser, with no new forward pass and no
// request to the server. The film arrives once, as a lossless picture inside the page's own message
// (16 bits as two bytes where the film has more than 8), the heat as an 8-bit map.
const root = element.querySelector('.fv');
fd.translate(element);
const canvas = root.querySelector('.fv-canvas');
const ask = (selector) => root.querySelector(selector);
const alt = ask('#fv-alt');
if (element.dataset.pane) { // an id is the page's only one
  const named = [alt, ask('#fv-keys')];
  named.forEach((node) => { node.id += `-${element.dataset.pane}`; });
  canvas.setAttribute('aria-describedby', named.map((node) => node.id).join(' '));
}
const inputs = {};
root.querySelectorAll('[data-set]').forEach((node) => { inputs[node.dataset.set] = node; });

const view = {
  film: null, deep: false, iw: 0, ih: 0, w: 1, h: 1, aspect: 1,
  heat: null, hw: 0, hh: 0, table: null, ruleIn: 1,
  regions: [], truth: [], mark: null, cross: null, marking: false, chosen: -1,
  opacity: 0.55, threshold: 0.1, split: 0, level: 0.5, width: 1, invert: false,
  boxes: true, hot: false, hidden: false, showTruth: false, turn: 0, flip: false,
  tool: '', measures: [], spacing: null, frames: 1, zoom: 1, x: 0, y: 0, fitted: true, loads: 0,
};
const filmLayer = document.createElement('canvas');
const heatLayer = document.createElement('canvas');

async function decode(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const layer = document.createElement('canvas');
  layer.width = image.naturalWidth;
  layer.height = image.naturalHeight;
  const context = layer.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, layer.width, layer.height);
}

function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

// The visitor's own upload, which this browser still holds.
async function local(path) {
  const picture = await createImageBitmap(fd.files.get(path), { colorSpaceConversion: 'none' });
  const layer = document.createElement('canvas');
  layer.width = picture.width;
  layer.height = picture.height;
  const context = layer.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, layer.width, layer.height);
}

// A picture's address, or what it would decode to: where the film was read in this browser there is
// no need to pack it.
async function layer(source, deep) {
  if (source.values) return source;
  const { width, height, data } = source.file ? await local(source.file) : await decode(source);
  const count = width * height;
  const values = deep ? new Uint16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) values[i] = deep ? data[4 * i] * 256 + data[4 * i + 1] : data[4 * i];
  return { width, height, values };
}

async function load(message) {
  const turn = ++view.loads;
  const data = typeof message === 'string' && message ? JSON.parse(message) : message || null;
  const sameFilm = Boolean(data) && data.id === view.id;
  // A large film takes a while to decode: the one before must not stand beside the new verdict.
  if (!sameFilm) clear(data ? fd.t('viewer drawing') : fd.t('viewer appears'));
  if (!data) {
    root.dataset.empty = 'true';
    return;
  }
  let film, heat;
  try {
    // Without pixels the message is about the film in view: another map, or the result revealed.
    film = data.film || !sameFilm ? await layer(data.film, data.deep)
      : { values: view.film, width: view.iw, height: view.ih };
    heat = data.heat ? await layer(data.heat, false) : null;
  } catch {
    if (turn === view.loads) clear(fd.t('viewer too large'));
    return;
  }
  if (turn !== view.loads) return; // a newer film came while this one was decoded
  Object.assign(view, {
    id: data.id, film: film.values, deep: data.deep, iw: film.width, ih: film.height,
    w: data.width, h: data.height, aspect: data.aspect, regions: data.regions, truth: data.truth,
    mark: data.mark, marking: data.marking, relative: data.relative, ruleIn: data.rule_in,
    table: data.table ? bytes(data.table) : null, chosen: -1,
    spacing: data.spacing, frames: data.frames,
  });
  view.heat = null;
  if (data.relative) view.hot = true; // another method was asked for: its map is all that differs
  if (heat) {
    view.hw = heat.width;
    view.hh = heat.height;
    view.heat = heat.values;
  }
  root.dataset.empty = root.dataset.wait = 'false';
  root.dataset.heat = String(!!heat);
  root.dataset.mark = String(data.marking);
  root.dataset.truth = String(data.truth.length > 0);
  alt.textContent = data.alt;
  if (!sameFilm) {
    Object.assign(view, { level: 0.5, width: 1, invert: false, split: 0, cross: null, showTruth: false, fitted: true, turn: 0, flip: false, measures: [], hidden: false });
    view.threshold = data.shown_from;
    inputs.preset.value = 'film';
  }
  showSettings();
  paintFilm();
  paintHeat();
  if (sameFilm) draw();
  else requestAnimationFrame(fit);
}

function clear(words) {
  Object.assign(view, { id: null, film: null, heat: null, regions: [], truth: [], chosen: -1, marking: false, measures: [] });
  Object.assign(root.dataset, { wait: 'true', heat: 'false', mark: 'false', truth: 'false' });
  ask('.fv-nofilm').textContent = words;
  alt.textContent = fd.t('viewer no film');
  draw();
}
