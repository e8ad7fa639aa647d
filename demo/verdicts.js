// The reader's own verdict on each finding, for an audit. Nothing is kept unless the reader asks for
// it, and then in this browser alone: one entry a film, by the sha256 of its file.
const PREFIX = 'fd-verdict ';
const ON = 'fd-verdicts';
const VERDICTS = ['agree', 'disagree', 'amend'];
const COLUMNS = [
  'sha256', 'frame', 'saved_at', 'model_version', 'model_sha256', 'decision', 'probability',
  'finding', 'x', 'y', 'width', 'height', 'score', 'verdict', 'amended',
];
const root = element.querySelector('.fd-verdicts');
const ask = (selector) => root.querySelector(selector);
const form = ask('.fd-findings');
let film = null; // what the server says of the film in view

fd.translate(element);

function keys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX)).sort();
}

function entries() {
  return keys().map((key) => JSON.parse(localStorage.getItem(key)));
}

const keyOf = ({ sha256, frame }) => `${PREFIX}${sha256}${frame ? ` ${frame}` : ''}`;

// What was kept of this film, unless another model marked other findings on it.
function keptOf(shown) {
  const kept = JSON.parse(localStorage.getItem(keyOf(shown)));
  return kept && kept.model_sha256 === shown.model_sha256 ? kept : null;
}

function show(message) {
  film = message ? JSON.parse(message) : null;
  render();
}

function render() {
  let kept = null;
  try {
    ask('[data-keep]').checked = localStorage.getItem(ON) === 'yes';
    kept = film && keptOf(film);
    counted();
  } catch { // a frame of another site may have no storage
    ask('[data-keep]').disabled = true;
    ask('output').textContent = fd.t('verdicts no store');
  }
  const on = film && ask('[data-keep]').checked;
  form.replaceChildren(...(on ? film.findings.map((finding, index) => field(finding, index, kept)) : []));
}

function field({ said }, index, kept) {
  const { verdict, amended = '' } = kept?.findings[index] ?? {};
  const node = document.createElement('fieldset');
  node.appendChild(document.createElement('legend')).textContent = said;
  for (const value of VERDICTS) {
    const label = node.appendChild(document.createElement('label'));
    const radio = label.appendChild(document.createElement('input'));
    Object.assign(radio, { type: 'radio', name: `fd-verdict-${index}`, value, checked: value === verdict });
    label.append(` ${fd.t(`verdict ${value}`)}`);
  }
  const text = node.appendChild(document.createElement('input'));
  Object.assign(text, { type: 'text', maxLength: 200, value: amended, autocomplete: 'off' });
  text.placeholder = fd.t('verdict instead');
  text.setAttribute('aria-label', `${said}: ${fd.t('verdict instead')}`);
  text.hidden = verdict !== 'amend';
  return node;
}

function keep() {
  const { sha256, frame, model_version, model_sha256, decision, probability } = film;
  const findings = film.findings.map(({ finding, x, y, width, height, score }, index) => {
    const node = form.children[index];
    const verdict = node.querySelector(':checked')?.value ?? '';
    const text = node.querySelector('[type="text"]');
    text.hidden = verdict !== 'amend';
    return { finding, x, y, width, height, score, verdict, amended: text.hidden ? '' : text.value };
  });
  const entry = {
    sha256, frame, saved_at: new Date().toISOString(), model_version, model_sha256, decision,
    probability, findings,
  };
  localStorage.setItem(keyOf(film), JSON.stringify(entry));
  counted();
}

function counted() {
  const count = keys().length;
  ask('output').textContent = fd.t('verdicts kept', { count });
  root.querySelectorAll('button').forEach((button) => { button.disabled = !count; });
}

// A text that a spreadsheet would take for a formula gets an apostrophe in front.
function cell(value) {
  const text = String(value ?? '').replace(/^[=+\-@\t\r]/, "'$&");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function toCsv() {
  const rows = entries().flatMap(({ findings, ...of }) => findings
    .filter(({ verdict }) => verdict).map((finding) => ({ ...of, ...finding })));
  const lines = rows.map((row) => COLUMNS.map((column) => cell(row[column])).join(','));
  return `\ufeff${[COLUMNS.join(','), ...lines].join('\r\n')}\r\n`;
}

function save(name, kind, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

ask('[data-keep]').addEventListener('change', (event) => {
  localStorage.setItem(ON, event.target.checked ? 'yes' : 'no');
  render();
});
form.addEventListener('change', keep);
form.addEventListener('input', keep); // a text half typed is kept too
ask('[data-csv]').addEventListener('click', () => save('verdicts.csv', 'text/csv', toCsv()));
ask('[data-json]').addEventListener('click', () => {
  save('verdicts.json', 'application/json', JSON.stringify(entries(), null, 1));
});
ask('[data-forget]').addEventListener('click', () => {
  if (!window.confirm(fd.t('verdicts sure'))) return;
  keys().forEach((key) => localStorage.removeItem(key));
  render();
});
watch('value', () => show(props.value));
show(props.value);
