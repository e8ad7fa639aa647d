// Zoom and pan --------------------------------------------------------------------------------

function fit() {
  if (!canvas.clientWidth) return; // on a tab that is not open
  const [w, h] = seenSize();
  view.zoom = fitZoom();
  view.x = (canvas.clientWidth - w * view.zoom) / 2;
  view.y = (canvas.clientHeight - h * view.zoom) / 2;
  view.fitted = true;
  canvas.style.touchAction = 'pan-y';
  draw();
}

function fitZoom() {
  const [w, h] = seenSize();
  return 0.98 * Math.min(canvas.clientWidth / w, canvas.clientHeight / h);
}

// Where a hand has put the film, whatever its size: how often as large as the fitted one, and which
// place of it is in the middle, as shares of its width and height.
function tell() {
  const [w, h] = seenSize();
  const detail = {
    fitted: view.fitted,
    zoom: view.zoom / fitZoom(),
    x: (canvas.clientWidth / 2 - view.x) / view.zoom / w,
    y: (canvas.clientHeight / 2 - view.y) / view.zoom / h,
  };
  element.dispatchEvent(new CustomEvent('fd:moved', { detail, bubbles: true }));
}
element.addEventListener('fd:follow', ({ detail: { fitted, zoom, x, y } }) => {
  if (!view.film) return;
  if (fitted) return fit();
  const [w, h] = seenSize();
  view.zoom = zoom * fitZoom();
  view.x = canvas.clientWidth / 2 - x * w * view.zoom;
  view.y = canvas.clientHeight / 2 - y * h * view.zoom;
  view.fitted = false;
  canvas.style.touchAction = zoom > 1 ? 'none' : 'pan-y';
  draw();
});

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
  tell();
}

function showRegion(index) {
  if (!view.regions[index]) return;
  const region = seenBox(view.regions[index]);
  view.chosen = index;
  const room = 5 * Math.max(region.width, region.height, 0.05 * Math.max(...seenSize()));
  view.zoom = Math.min(canvas.clientWidth, canvas.clientHeight) / room;
  view.x = canvas.clientWidth / 2 - (region.x + region.width / 2) * view.zoom;
  view.y = canvas.clientHeight / 2 - (region.y + region.height / 2) * view.zoom;
  leaveFit();
  canvas.scrollIntoView({ block: 'nearest' }); // on a phone the list is far above the film
}

function seenAt(event) {
  const area = canvas.getBoundingClientRect();
  return [(event.clientX - area.left - view.x) / view.zoom, (event.clientY - area.top - view.y) / view.zoom];
}

function toFilm(event) {
  return fromSeen(seenAt(event));
}

const pointers = new Map();
let moved = 0, dragging = '';
canvas.addEventListener('pointerdown', (event) => {
  if (!view.film) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, event);
  moved = 0;
  const [x] = seenAt(event);
  const onLine = view.heat && view.split > 0 && Math.abs(x - view.split * seenSize()[0]) * view.zoom < 14;
  // As at a reporting station: left window and level, right zoom, middle pan. A finger pans.
  const byButton = ['window', 'film', 'zoom'][event.button] ?? 'film';
  dragging = onLine && event.button === 0 ? 'split'
    : view.tool && event.button === 0 ? 'measure'
      : event.pointerType === 'touch' ? 'film' : byButton;
  if (dragging === 'measure' && pointers.size === 1) beginMeasure(toFilm(event));
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
    view.x += dx / 2; // two fingers that go together pan
    view.y += dy / 2;
    tell();
  } else if (dragging === 'window') {
    if (moved < 4) return void pointers.set(event.pointerId, event); // a click that shook
    inputs.preset.value = 'own';
    setWindow(view.level + dy / 400, view.width + dx / 300);
  } else if (dragging === 'zoom') {
    zoomBy(Math.exp(-dy / 150));
  } else if (dragging === 'measure') {
    const open = view.measures.at(-1);
    if (open?.kind === 'ruler') open.points[1] = toFilm(event);
  } else if (dragging === 'split') {
    view.split = Math.max(0.01, Math.min(1, seenAt(event)[0] / seenSize()[0]));
    showSettings();
  } else {
    view.fitted = false;
    view.x += dx;
    view.y += dy;
    tell();
  }
  pointers.set(event.pointerId, event);
  draw();
});
const release = (event) => {
  const was = pointers.delete(event.pointerId);
  if (was && dragging === 'measure') endMeasure();
  if (was && event.type === 'pointerup' && view.marking && !view.tool && moved < 6 && event.button === 0) setMark(toFilm(event));
};
canvas.addEventListener('pointerup', release);
canvas.addEventListener('pointercancel', release);
canvas.addEventListener('contextmenu', (event) => event.preventDefault());
canvas.addEventListener('dblclick', () => { if (!view.marking) actions.fit(); });
canvas.addEventListener('wheel', (event) => {
  if (!view.film) return;
  event.preventDefault();
  if (view.frames > 1 && !event.ctrlKey) {
    document.dispatchEvent(new CustomEvent('fd:frame', { detail: Math.sign(event.deltaY) }));
    return;
  }
  const area = canvas.getBoundingClientRect();
  zoomBy(Math.exp(-event.deltaY / 500), event.clientX - area.left, event.clientY - area.top);
}, { passive: false });

function setMark([x, y]) {
  if (x < 0 || y < 0 || x > view.w || y > view.h) return;
  view.mark = view.cross = [x, y];
  draw();
  trigger('mark', { x, y, film: view.id });
}
