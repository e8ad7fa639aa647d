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
  drawMeasures(context, 1 / view.zoom);
  ask('.fv-hud').textContent =
    `${Math.round(100 * view.zoom * ratio)} %  ${view.w} \u00d7 ${view.h}\n` +
    `L ${Math.round(100 * view.level)}  W ${Math.round(100 * view.width)}${view.invert ? '  inverted' : ''}`;
}

// Draws film, heat and boxes in seen coordinates; `unit` is one screen pixel.
function compose(context, unit, withSplit) {
  const [w, h] = seenSize();
  const layer = (picture) => {
    const { a, b, c, d, e, f } = orientation();
    context.save();
    context.transform(a, b, c, d, e, f);
    context.drawImage(picture, 0, 0, view.w, view.h);
    context.restore();
  };
  const marked = view.heat && !view.hidden;
  context.imageSmoothingEnabled = unit > 1 / 4;
  context.imageSmoothingQuality = 'high';
  layer(filmLayer);
  const from = withSplit ? view.split * w : 0;
  context.save();
  context.beginPath();
  context.rect(from, 0, w - from, h);
  context.clip();
  context.imageSmoothingEnabled = true;
  if (marked && view.hot) layer(heatLayer);
  if (marked && view.boxes) {
    view.regions.forEach((region, index) => {
      const strong = region.score >= view.ruleIn;
      box(context, seenBox(region), unit, index === view.chosen ? '#74b7f5' : '#ffffff', strong ? [] : [6, 4], String(index + 1));
    });
  }
  context.restore();
  if (view.showTruth && marked) {
    view.truth.forEach((region) => box(context, seenBox(region), unit, '#5ee6a8', [2, 3], ''));
  }
  if (from > 0 && marked) {
    context.fillStyle = '#ffffff';
    context.fillRect(from - unit, 0, 2 * unit, h);
    context.beginPath();
    context.arc(from, h / 2, 11 * unit, 0, 7);
    context.fill();
  }
  const place = view.marking ? view.cross : view.mark;
  if (place) cross(context, toSeen(place), unit, view.marking && !view.mark);
  if (view.marking && view.mark) cross(context, toSeen(view.mark), unit, false);
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
