// Views of a study side by side, each in a viewer of its own; linked, they zoom and pan together.
const MOST = 4; // each holds a film at full resolution
const box = element.querySelector('.fd-beside');
const panes = box.querySelector('.fd-panes');
let count = 0;
fd.translate(element);

function add({ index, head, message }) {
  panes.querySelector(`[data-of="${index}"]`)?.remove();
  while (panes.children.length >= MOST) panes.firstElementChild.remove();
  const pane = panes.appendChild(element.querySelector('.fd-pane-model').content.firstElementChild.cloneNode(true));
  pane.dataset.of = index;
  pane.dataset.pane = ++count;
  pane.querySelector('.fd-pane-head').innerHTML = head;
  fd.translate(pane);
  box.hidden = false;
  fd.viewer(pane, { value: message }, () => {}, () => {});
  pane.querySelector('.fv').setAttribute( // of several landmarks each has its own name
    'aria-label', `${fd.t('viewer viewer')}: ${pane.querySelector('h3').textContent}`);
  pane.scrollIntoView({ block: 'nearest' });
}

panes.addEventListener('click', (event) => {
  if (!event.target.closest('[data-close]')) return;
  event.target.closest('[data-pane]').remove();
  box.hidden = !panes.children.length;
});
panes.addEventListener('fd:moved', ({ target, detail }) => {
  if (!box.querySelector('[data-link]').checked) return;
  [...panes.children].filter((pane) => pane !== target).forEach((pane) => {
    pane.dispatchEvent(new CustomEvent('fd:follow', { detail }));
  });
});
watch('value', () => {
  if (props.value) return add(JSON.parse(props.value));
  panes.replaceChildren(); // another study
  box.hidden = true;
});
