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
  press('heat', view.hot);
  press('ruler', view.tool === 'ruler');
  press('angle', view.tool === 'angle');
  root.dataset.hot = String(view.hot && !view.hidden);
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
