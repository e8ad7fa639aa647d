// Orientation: quarter turns and flips -----------------------------------------------------------
// Boxes, marks and measures stay in film pixels. On the screen the film lies turned by quarter turns
// after a flip, a pixel as high as `aspect` times its width; `seen` coordinates are those of the film
// as it lies there: square, one to a pixel's width.

function seenSize() {
  const high = view.h * view.aspect;
  return view.turn % 2 ? [high, view.w] : [view.w, high];
}

// The matrix [a, b, c, d, e, f] from film to seen coordinates, as a canvas takes it.
function orientation() {
  const { w, h, turn, flip, aspect } = view;
  const matrix = new DOMMatrix();
  matrix.translateSelf(seenSize()[0] / 2, seenSize()[1] / 2);
  matrix.rotateSelf(90 * turn);
  matrix.scaleSelf(flip ? -1 : 1, aspect);
  matrix.translateSelf(-w / 2, -h / 2);
  return matrix;
}

function toSeen([x, y]) {
  const point = orientation().transformPoint({ x, y });
  return [point.x, point.y];
}

function fromSeen([x, y]) {
  const point = orientation().inverse().transformPoint({ x, y });
  return [point.x, point.y];
}

function seenBox({ x, y, width, height }) {
  const [ax, ay] = toSeen([x, y]), [bx, by] = toSeen([x + width, y + height]);
  return { x: Math.min(ax, bx), y: Math.min(ay, by), width: Math.abs(bx - ax), height: Math.abs(by - ay) };
}

function rotate() {
  view.turn = (view.turn + 1) % 4;
  fit();
}

// Left and right change sides on the screen, whatever the film is turned by; so do top and bottom.
function flipSides() {
  view.flip = !view.flip;
  if (view.turn % 2) view.turn = (view.turn + 2) % 4;
  draw();
}

function flipUpsideDown() {
  view.flip = !view.flip;
  if (view.turn % 2 === 0) view.turn = (view.turn + 2) % 4;
  draw();
}

// The film as it came: orientation, window, zoom, measures.
function reset() {
  Object.assign(view, { turn: 0, flip: false, invert: false, measures: [], tool: '' });
  inputs.preset.value = 'film';
  setWindow(0.5, 1);
  fit();
  tell();
}
