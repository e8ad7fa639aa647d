// Measuring: lengths and angles -----------------------------------------------------------------
// A length is in millimetres only where the file says how large a pixel is; else it is in pixels, in
// widths of one where they are not square.

function pixelSize() {
  return view.spacing?.mm ?? [view.aspect, 1];
}

function lengthOf([ax, ay], [bx, by]) {
  const [down, across] = pixelSize();
  return Math.hypot((bx - ax) * across, (by - ay) * down);
}

function measureText({ points }) {
  if (points.length === 3) {
    const [a, b, c] = points, [down, across] = pixelSize();
    const arm = ([x, y]) => [(x - b[0]) * across, (y - b[1]) * down];
    const [[ux, uy], [vx, vy]] = [arm(a), arm(c)];
    const radians = Math.abs(Math.atan2(ux * vy - uy * vx, ux * vx + uy * vy));
    return `${((180 * radians) / Math.PI).toFixed(1)}\u00b0`;
  }
  const length = lengthOf(...points);
  if (!view.spacing) return `${length.toFixed(1)} px`;
  return `${length.toFixed(1)} mm (${fd.t(`viewer ${view.spacing.kind}`)})`;
}

function drawMeasures(context, unit) {
  for (const measure of view.measures) {
    const points = measure.points.map(toSeen);
    for (const [stroke, width] of [['rgba(0,0,0,.8)', 4], ['#ffd166', 2]]) {
      context.strokeStyle = stroke;
      context.lineWidth = width * unit;
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
    }
    if (points.length < (measure.kind === 'angle' ? 3 : 2)) continue;
    const [x, y] = points[measure.kind === 'angle' ? 1 : points.length - 1];
    context.font = `600 ${13 * unit}px system-ui, sans-serif`;
    context.textAlign = 'left';
    context.textBaseline = 'bottom';
    const words = measureText(measure);
    context.fillStyle = 'rgba(5,7,10,.8)';
    context.fillRect(x + 8 * unit, y - 20 * unit, context.measureText(words).width + 10 * unit, 19 * unit);
    context.fillStyle = '#ffd166';
    context.fillText(words, x + 13 * unit, y - 4 * unit);
  }
}

function takeTool(name) {
  view.tool = view.tool === name ? '' : name;
  root.dataset.tool = view.tool;
  showSettings();
}

// A length is drawn by a drag. An angle takes three clicks, its corner second.
function beginMeasure(point) {
  if (view.tool === 'ruler') view.measures.push({ kind: 'ruler', points: [point, point] });
  const open = view.measures.at(-1);
  if (view.tool !== 'angle') return;
  if (open?.kind === 'angle' && open.points.length < 3) open.points.push(point);
  else view.measures.push({ kind: 'angle', points: [point] });
}

function endMeasure() {
  const last = view.measures.at(-1);
  if (last?.kind === 'ruler' && lengthOf(...last.points) === 0) view.measures.pop();
  alt.textContent = last && last.points.length > 1 ? measureText(last) : alt.textContent;
}
