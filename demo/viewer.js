// The film viewer: everything here is answered in the browser, with no new forward pass and no
// request to the server. The film arrives once, as a lossless picture inside the page's own message
// (16 bits as two bytes where the film has more than 8), the heat as an 8-bit map.
const root = element.querySelector('.fv');
fd.translate(element);
const canvas = root.querySelector('.fv-canvas');
const ask = (selector) => root.querySelector(selector);
const inputs = {};
root.querySelectorAll('[data-set]').forEach((node) => { inputs[node.dataset.set] = node; });

const view = {
  film: null, deep: false, iw: 0, ih: 0, w: 1, h: 1,
  heat: null, hw: 0, hh: 0, table: null, ruleIn: 1,
  regions: [], truth: [], mark: null, cross: null, marking: false, chosen: -1,
  opacity: 0.55, threshold: 0.1, split: 0, level: 0.5, width: 1, invert: false,
  boxes: true, showTruth: false, zoom: 1, x: 0, y: 0, fitted: true, loads: 0,
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
    w: data.width, h: data.height, regions: data.regions, truth: data.truth,
    mark: data.mark, marking: data.marking, relative: data.relative, ruleIn: data.rule_in,
    table: data.table ? bytes(data.table) : null, chosen: -1,
  });
  view.heat = null;
  if (heat) {
    view.hw = heat.width;
    view.hh = heat.height;
    view.heat = heat.values;
  }
  root.dataset.empty = root.dataset.wait = 'false';
  root.dataset.heat = String(!!heat);
  root.dataset.mark = String(data.marking);
  root.dataset.truth = String(data.truth.length > 0);
  ask('#fv-alt').textContent = data.alt;
  if (!sameFilm) {
    Object.assign(view, { level: 0.5, width: 1, invert: false, split: 0, cross: null, showTruth: false, fitted: true });
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
  Object.assign(view, { id: null, film: null, heat: null, regions: [], truth: [], chosen: -1, marking: false });
  Object.assign(root.dataset, { wait: 'true', heat: 'false', mark: 'false', truth: 'false' });
  ask('.fv-nofilm').textContent = words;
  ask('#fv-alt').textContent = fd.t('viewer no film');
  draw();
}

// Layers --------------------------------------------------------------------------------------

function paintFilm() {
  if (!view.film) return;
  const top = view.deep ? 65535 : 255;
  const low = view.level - view.width / 2;
  const table = new Uint32Array(top + 1);
  for (let value = 0; value <= top; value++) {
    let grey = Math.max(0, Math.min(1, (value / top - low) / view.width));
    if (view.invert) grey = 1 - grey;
    const level = Math.round(255 * grey);
    table[value] = (255 << 24) | (level << 16) | (level << 8) | level;
  }
  filmLayer.width = view.iw;
  filmLayer.height = view.ih;
  const context = filmLayer.getContext('2d');
  const image = context.createImageData(view.iw, view.ih);
  const out = new Uint32Array(image.data.buffer);
  for (let i = 0; i < out.length; i++) out[i] = table[view.film[i]];
  context.putImageData(image, 0, 0);
}

// The same colours and opacities as the library's own overlay: nothing below the threshold, then
// stronger with the heat; the white line runs at the rule-in point.
function paintHeat() {
  if (!view.heat) return;
  const { hw, hh, heat, table, threshold, ruleIn, opacity, relative } = view;
  heatLayer.width = hw;
  heatLayer.height = hh;
  const context = heatLayer.getContext('2d');
  const image = context.createImageData(hw, hh);
  const line = 255 * ruleIn;
  for (let i = 0; i < heat.length; i++) {
    const value = heat[i] / 255;
    if (value < threshold) continue;
    const above = (value - threshold) / Math.max(1 - threshold, 1e-6);
    const shade = Math.round(255 * above);
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = table[3 * shade + c];
    image.data[4 * i + 3] = Math.round(255 * opacity * Math.sqrt(above));
    const column = i % hw;
    const edge = !relative && heat[i] >= line && (
      (column > 0 && heat[i - 1] < line) || (column < hw - 1 && heat[i + 1] < line) ||
      heat[i - hw] < line || heat[i + hw] < line);
    if (edge && opacity > 0) image.data.set([255, 255, 255, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawNow(); });
}

function drawNow() {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = '#05070a';
  context.fillRect(0, 0, width, height);
  if (!view.film) {
    ask('.fv-hud').textContent = '';
    return;
  }
  context.setTransform(view.zoom * ratio, 0, 0, view.zoom * ratio, view.x * ratio, view.y * ratio);
  compose(context, 1 / view.zoom, true);
  ask('.fv-hud').textContent =
    `${Math.round(100 * view.zoom * ratio)} %  ${view.w} \u00d7 ${view.h}\n` +
    `L ${Math.round(100 * view.level)}  W ${Math.round(100 * view.width)}${view.invert ? '  inverted' : ''}`;
}

// Draws film, heat and boxes in film pixels; `unit` is one screen pixel.
function compose(context, unit, withSplit) {
  const { w, h } = view;
  context.imageSmoothingEnabled = unit > 1 / 4;
  context.imageSmoothingQuality = 'high';
  context.drawImage(filmLayer, 0, 0, w, h);
  const from = withSplit ? view.split * w : 0;
  context.save();
  context.beginPath();
  context.rect(from, 0, w - from, h);
  context.clip();
  context.imageSmoothingEnabled = true;
  if (view.heat) context.drawImage(heatLayer, 0, 0, w, h);
  if (view.heat && view.boxes) {
    view.regions.forEach((region, index) => {
      const strong = region.score >= view.ruleIn;
      box(context, region, unit, index === view.chosen ? '#74b7f5' : '#ffffff', strong ? [] : [6, 4], String(index + 1));
    });
  }
  context.restore();
  if (view.showTruth && view.heat) {
    view.truth.forEach((region) => box(context, region, unit, '#5ee6a8', [2, 3], ''));
  }
  if (from > 0 && view.heat) {
    context.fillStyle = '#ffffff';
    context.fillRect(from - unit, 0, 2 * unit, h);
    context.beginPath();
    context.arc(from, h / 2, 11 * unit, 0, 7);
    context.fill();
  }
  const place = view.marking ? view.cross : view.mark;
  if (place) cross(context, place, unit, view.marking && !view.mark);
  if (view.marking && view.mark) cross(context, view.mark, unit, false);
}

function box(context, region, unit, colour, dash, label) {
  const outlines = [['rgba(0,0,0,.75)', 4, []], [colour, 2, dash]];
  outlines.forEach(([stroke, width, pattern]) => {
    context.strokeStyle = stroke;
    context.lineWidth = width * unit;
    context.setLineDash(pattern.map((n) => n * unit));
    context.strokeRect(region.x, region.y, region.width, region.height);
  });
  context.setLineDash([]);
  if (!label) return;
  const size = 17 * unit;
  const top = region.y >= size ? region.y - size : region.y;
  context.fillStyle = colour;
  context.fillRect(region.x - unit, top, size, size);
  context.fillStyle = '#05070a';
  context.font = `700 ${12 * unit}px system-ui, sans-serif`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(label, region.x - unit + size / 2, top + size / 2);
}

function cross(context, [x, y], unit, faint) {
  context.globalAlpha = faint ? 0.75 : 1;
  [['#000000', 5], ['#74b7f5', 2]].forEach(([stroke, width]) => {
    context.strokeStyle = stroke;
    context.lineWidth = width * unit;
    context.beginPath();
    context.arc(x, y, 12 * unit, 0, 7);
    [[-20, 0, -6, 0], [20, 0, 6, 0], [0, -20, 0, -6], [0, 20, 0, 6]].forEach(([a, b, c, d]) => {
      context.moveTo(x + a * unit, y + b * unit);
      context.lineTo(x + c * unit, y + d * unit);
    });
    context.stroke();
  });
  context.globalAlpha = 1;
}

// Settings ------------------------------------------------------------------------------------

function showSettings() {
  const set = (name, value, text) => {
    inputs[name].value = value;
    inputs[name].parentElement.querySelector('output').textContent = text;
  };
  const share = (value) => `${Math.round(100 * value)} %`;
  set('opacity', 100 * view.opacity, share(view.opacity));
  set('threshold', 100 * view.threshold, share(view.threshold));
  set('split', 100 * view.split, share(view.split));
  set('level', 100 * view.level, Math.round(100 * view.level));
  set('width', 100 * view.width, Math.round(100 * view.width));
  const press = (name, on) => ask(`[data-do="${name}"]`).setAttribute('aria-pressed', String(on));
  press('invert', view.invert);
  press('boxes', view.boxes);
  press('truth', view.showTruth);
  if (!view.table) return;
  const stops = [];
  for (let i = 0; i <= 8; i++) {
    const at = 3 * Math.round((255 * i) / 8);
    stops.push(`rgb(${view.table[at]},${view.table[at + 1]},${view.table[at + 2]})`);
  }
  ask('.fv-legend i').style.background = `linear-gradient(90deg, ${stops.join(',')})`;
  ask('.fv-lo').textContent = share(view.threshold);
  ask('.fv-hi').textContent = view.relative ? fd.t('viewer strongest') : `100 % ${fd.t('viewer local')}`;
}

function automaticWindow() {
  const top = view.deep ? 65535 : 255;
  const counts = new Uint32Array(256);
  for (const value of view.film) counts[Math.floor((255 * value) / top)]++;
  const at = (share) => {
    let sum = 0;
    for (let i = 0; i < 256; i++) {
      sum += counts[i];
      if (sum >= share * view.film.length) return i / 255;
    }
    return 1;
  };
  const low = at(0.02), high = Math.max(at(0.998), at(0.02) + 0.05);
  return [(low + high) / 2, high - low];
}

const presets = {
  film: () => [0.5, 1], auto: automaticWindow, bone: () => [0.66, 0.68],
  soft: () => [0.3, 0.5], hard: () => [0.5, 0.5],
};

function setWindow(level, width) {
  view.level = Math.max(0, Math.min(1, level));
  view.width = Math.max(0.02, Math.min(2, width));
  paintFilm();
  showSettings();
  draw();
}

element.addEventListener('input', (event) => {
  const name = event.target.dataset.set;
  if (!name || !view.film) return;
  const value = Number(event.target.value) / 100;
  if (name === 'preset') {
    if (presets[event.target.value]) setWindow(...presets[event.target.value]());
    return;
  }
  if (name === 'level' || name === 'width') {
    inputs.preset.value = 'own';
    setWindow(name === 'level' ? value : view.level, name === 'width' ? value : view.width);
    return;
  }
  view[name] = value;
  if (name !== 'split') paintHeat();
  showSettings();
  draw();
});

// Zoom and pan --------------------------------------------------------------------------------

function fit() {
  if (!canvas.clientWidth) return; // on a tab that is not open
  const scale = Math.min(canvas.clientWidth / view.w, canvas.clientHeight / view.h);
  view.zoom = scale * 0.98;
  view.x = (canvas.clientWidth - view.w * view.zoom) / 2;
  view.y = (canvas.clientHeight - view.h * view.zoom) / 2;
  view.fitted = true;
  canvas.style.touchAction = 'pan-y';
  draw();
}

function zoomBy(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const zoom = Math.max(0.02, Math.min(40, view.zoom * factor));
  view.x = x - ((x - view.x) * zoom) / view.zoom;
  view.y = y - ((y - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  leaveFit();
}

// Zoomed in, a finger moves the film and not the page.
function leaveFit() {
  view.fitted = false;
  canvas.style.touchAction = 'none';
  draw();
}

function showRegion(index) {
  const region = view.regions[index];
  if (!region) return;
  view.chosen = index;
  const room = 5 * Math.max(region.width, region.height, 0.05 * Math.max(view.w, view.h));
  view.zoom = Math.min(canvas.clientWidth, canvas.clientHeight) / room;
  view.x = canvas.clientWidth / 2 - (region.x + region.width / 2) * view.zoom;
  view.y = canvas.clientHeight / 2 - (region.y + region.height / 2) * view.zoom;
  leaveFit();
  canvas.scrollIntoView({ block: 'nearest' }); // on a phone the list is far above the film
}

function toFilm(event) {
  const area = canvas.getBoundingClientRect();
  return [(event.clientX - area.left - view.x) / view.zoom, (event.clientY - area.top - view.y) / view.zoom];
}

const pointers = new Map();
let moved = 0, dragging = '';
canvas.addEventListener('pointerdown', (event) => {
  if (!view.film) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  moved = 0;
  const [x] = toFilm(event);
  const onLine = view.heat && view.split > 0 && Math.abs(x - view.split * view.w) * view.zoom < 14;
  dragging = event.button === 2 ? 'window' : onLine ? 'split' : 'film';
});
canvas.addEventListener('pointermove', (event) => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
  moved += Math.abs(dx) + Math.abs(dy);
  if (pointers.size === 2) {
    const other = [...pointers.values()].find((p) => p.pointerId !== event.pointerId);
    const distance = (p) => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY);
    const area = canvas.getBoundingClientRect();
    zoomBy(distance(event) / Math.max(1, distance(last)), other.clientX - area.left, other.clientY - area.top);
  } else if (dragging === 'window') {
    inputs.preset.value = 'own';
    setWindow(view.level + dy / 400, view.width + dx / 300);
  } else if (dragging === 'split') {
    view.split = Math.max(0.01, Math.min(1, toFilm(event)[0] / view.w));
    showSettings();
  } else {
    view.fitted = false;
    view.x += dx;
    view.y += dy;
  }
  pointers.set(event.pointerId, event);
  draw();
});
const release = (event) => {
  const was = pointers.delete(event.pointerId);
  if (was && event.type === 'pointerup' && view.marking && moved < 6 && event.button === 0) setMark(toFilm(event));
};
canvas.addEventListener('pointerup', release);
canvas.addEventListener('pointercancel', release);
canvas.addEventListener('contextmenu', (event) => event.preventDefault());
canvas.addEventListener('dblclick', () => { if (!view.marking) fit(); });
canvas.addEventListener('wheel', (event) => {
  if (!view.film) return;
  event.preventDefault();
  const area = canvas.getBoundingClientRect();
  zoomBy(Math.exp(-event.deltaY / 500), event.clientX - area.left, event.clientY - area.top);
}, { passive: false });

function setMark([x, y]) {
  if (x < 0 || y < 0 || x > view.w || y > view.h) return;
  view.mark = view.cross = [x, y];
  draw();
  trigger('mark', { x, y, film: view.id });
}

// Buttons and keys ----------------------------------------------------------------------------

function save() {
  const layer = document.createElement('canvas');
  layer.width = view.w;
  layer.height = view.h;
  compose(layer.getContext('2d'), Math.max(1, Math.max(view.w, view.h) / 900), false);
  layer.toBlob((blob) => {
    if (!blob) return window.alert('This browser cannot save so large a picture.');
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = view.heat ? 'overlay.png' : 'film.png';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, 'image/png');
}

const actions = {
  in: () => zoomBy(1.3), out: () => zoomBy(1 / 1.3), fit,
  one: () => zoomBy(1 / (view.zoom * (window.devicePixelRatio || 1))),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()),
  invert: () => { view.invert = !view.invert; paintFilm(); showSettings(); draw(); },
  boxes: () => { view.boxes = !view.boxes; showSettings(); draw(); },
  truth: () => { view.showTruth = !view.showTruth; showSettings(); draw(); },
  save,
};
root.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button && view.film) actions[button.dataset.do]();
});
const keys = { '+': 'in', '=': 'in', '-': 'out', 0: 'fit', 1: 'one', f: 'full', i: 'invert', b: 'boxes' };
canvas.addEventListener('keydown', (event) => {
  if (!view.film || event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrow && view.marking) {
    view.cross ??= [view.w / 2, view.h / 2];
    const step = (event.shiftKey ? 40 : 8) / view.zoom;
    view.cross = [
      Math.max(0, Math.min(view.w, view.cross[0] + step * arrow[0])),
      Math.max(0, Math.min(view.h, view.cross[1] + step * arrow[1])),
    ];
  } else if (arrow) {
    view.fitted = false;
    view.x -= 40 * arrow[0];
    view.y -= 40 * arrow[1];
  } else if (event.key === 'Enter' && view.marking && view.cross) {
    setMark(view.cross);
  } else if (actions[keys[event.key.toLowerCase()]]) {
    actions[keys[event.key.toLowerCase()]]();
  } else {
    return;
  }
  event.preventDefault();
  draw();
});
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-region]');
  if (button) showRegion(Number(button.dataset.region));
});
let size = [0, 0];
new ResizeObserver(() => {
  const [width, height] = size;
  if (!canvas.clientWidth) return; // on a tab that is not open
  size = [canvas.clientWidth, canvas.clientHeight];
  if (!view.film || view.fitted) return view.film ? fit() : draw();
  view.x += (size[0] - width) / 2; // what is in the middle stays there
  view.y += (size[1] - height) / 2;
  draw();
}).observe(canvas);

// Another film is on its way: nothing of this one stays.
document.addEventListener('fd:begin', () => load(''));
watch('value', () => load(props.value));
load(props.value);
