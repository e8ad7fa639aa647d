// Buttons and keys ----------------------------------------------------------------------------

function save() {
  const layer = document.createElement('canvas');
  [layer.width, layer.height] = seenSize();
  compose(layer.getContext('2d'), Math.max(1, Math.max(...seenSize()) / 900), false);
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
  in: () => zoomBy(1.3), out: () => zoomBy(1 / 1.3), fit: () => { fit(); tell(); },
  one: () => zoomBy(1 / (view.zoom * (window.devicePixelRatio || 1))),
  full: () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.()),
  invert: () => { view.invert = !view.invert; paintFilm(); showSettings(); draw(); },
  boxes: () => { view.boxes = !view.boxes; view.hidden = false; showSettings(); draw(); },
  heat: () => { view.hot = !view.hot; view.hidden = false; showSettings(); draw(); },
  rotate, sides: flipSides, upside: flipUpsideDown, reset,
  ruler: () => takeTool('ruler'), angle: () => takeTool('angle'),
  help: () => { const card = ask('.fv-help'); card.hidden = !card.hidden; },
  truth: () => { view.showTruth = !view.showTruth; showSettings(); draw(); },
  save,
};
root.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button && view.film) actions[button.dataset.do]();
});

// Heat and boxes go away at one press and come back at the next, or when a held key is let go.
const PEEK = 350; // ms after which a press is a hold
let peeking = 0;
function peek(down) {
  if (down && !peeking) {
    peeking = performance.now();
    view.hidden = !view.hidden;
  } else if (!down && peeking) {
    if (performance.now() - peeking > PEEK) view.hidden = !view.hidden;
    peeking = 0;
  }
  showSettings();
  draw();
}
const peekButton = ask('[data-peek]');
for (const [kind, down] of [['pointerdown', true], ['pointerup', false], ['pointercancel', false], ['pointerleave', false]]) {
  peekButton.addEventListener(kind, () => { if (view.heat) peek(down); });
}
peekButton.addEventListener('click', (event) => {
  if (event.detail === 0 && view.heat) { peek(true); peek(false); } // pressed by a key
});
canvas.addEventListener('keyup', (event) => { if (event.key.toLowerCase() === 'p') peek(false); });
canvas.addEventListener('blur', () => peek(false));

const keys = {
  '+': 'in', '=': 'in', '-': 'out', 0: 'fit', 1: 'one', f: 'full', i: 'invert', b: 'boxes', m: 'heat',
  r: 'rotate', h: 'sides', v: 'upside', ' ': 'reset', l: 'ruler', a: 'angle', '?': 'help',
};
canvas.addEventListener('keydown', (event) => {
  if (!view.film || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key.toLowerCase() === 'p') {
    if (view.heat && !event.repeat) peek(true);
    return event.preventDefault();
  }
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (arrow && view.marking) {
    view.cross ??= [view.w / 2, view.h / 2];
    const step = (event.shiftKey ? 40 : 8) / view.zoom;
    view.cross = [
      Math.max(0, Math.min(view.w, view.cross[0] + step * arrow[0])),
      Math.max(0, Math.min(view.h, view.cross[1] + (step * arrow[1]) / view.aspect)),
    ];
  } else if (arrow) {
    view.fitted = false;
    view.x -= 40 * arrow[0];
    view.y -= 40 * arrow[1];
    tell();
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
// A viewer of a study's pane stands by itself: the verdict beside it is not the film tab's.
if (!element.dataset.pane) {
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-region]');
    if (button) showRegion(Number(button.dataset.region));
  });
  // Another film is on its way: nothing of this one stays.
  document.addEventListener('fd:begin', () => load(''));
}
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

watch('value', () => load(props.value));
load(props.value);
