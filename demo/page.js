// What the page does in the browser beside Gradio: its language, films on their way, tabs, theme.
window.fd = (() => {
  const query = new URLSearchParams(location.search);
  const kept = (name, value) => {
    try { // a frame of another site may have no storage
      if (value !== undefined) localStorage.setItem(`fd-${name}`, value);
      return localStorage.getItem(`fd-${name}`);
    } catch { return null; }
  };

  // Language ----------------------------------------------------------------------------------

  // `demo.language.Spoken` sets what `?lang=` asks for before Gradio starts. A choice is kept.
  const chosen = kept('language');
  if (chosen && !query.has('lang') && !navigator.language.startsWith(chosen)) {
    query.set('lang', chosen);
    location.replace(`?${query}`);
  }
  let strings = null;
  let english = {};
  function load() {
    const all = (window.gradio_config && window.gradio_config.i18n_translations) || {};
    const code = navigator.language.toLowerCase().split('-')[0];
    fd.language = (all[code] || {})['fd direction'] ? code : 'en';
    strings = all[fd.language] || {};
    english = all.en || {};
    const root = document.documentElement;
    root.lang = fd.language;
    root.dir = strings['fd direction'] || 'ltr';
    ['drop', 'tap', 'drop many', 'tap many'].forEach((key) => {
      root.style.setProperty(`--fd-${key.replace(' ', '-')}`, JSON.stringify(t(key)));
    });
  }
  function t(key, values = {}) {
    if (!strings) load();
    const text = strings[`fd ${key}`] ?? english[`fd ${key}`] ?? key;
    if (typeof text !== 'string') return text;
    return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
  }
  // Every text marked `data-t`, and the names marked `data-t-label`, below an element.
  function translate(element) {
    element.querySelectorAll('[data-t]').forEach((node) => {
      node.textContent = t(node.dataset.t);
      if (!(`fd ${node.dataset.t}` in strings)) node.lang = 'en';
    });
    element.querySelectorAll('[data-t-label]').forEach((node) => {
      node.setAttribute('aria-label', t(node.dataset.tLabel));
    });
    element.querySelectorAll('[data-bold]').forEach((node) => { // "**Bold.** Not bold."
      const parts = t(node.dataset.bold).split('**').map((part, index) => {
        const piece = document.createElement(index % 2 ? 'strong' : 'span');
        piece.textContent = part;
        return piece;
      });
      node.replaceChildren(...parts);
    });
    element.querySelectorAll('[data-list]').forEach((node) => {
      if (!(`fd ${node.dataset.list}` in strings)) node.lang = 'en';
      node.replaceChildren(...t(node.dataset.list).map((text) => {
        const item = document.createElement('li');
        item.textContent = text;
        return item;
      }));
    });
  }

  // A film on its way: nothing of the one before is left beside it ------------------------------

  let waiting = null; // { key, name, size, xhr }: the film that was asked for last
  let refocus = false;
  let landing = false; // whether the next answer brings the film into view
  const STOPPED = 'The upload was cancelled';
  const files = new Map(); // path on the server -> the file, of the last uploads
  const row = () => document.querySelector('#film-row');

  function size(bytes) {
    const unit = bytes < 1e6 ? [1e3, 'kB'] : [1e6, 'MB'];
    return `${(bytes / unit[0]).toFixed(bytes < 1e7 && bytes >= 1e6 ? 1 : 0)} ${unit[1]}`;
  }
  function status(state, words, { percent = null, action = null, alert = false } = {}) {
    row().dataset.state = state;
    const box = document.querySelector('#film-status .fd-status');
    box.replaceChildren();
    if (!words) return;
    const card = box.appendChild(document.createElement('div'));
    card.className = `fd-card${alert ? ' fd-error' : ''}`;
    const text = card.appendChild(document.createElement('p'));
    text.setAttribute('role', alert ? 'alert' : 'status');
    text.textContent = words;
    if (percent !== null) {
      const bar = card.appendChild(document.createElement('div'));
      bar.className = 'fd-progress';
      bar.innerHTML = `<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100"
        aria-valuenow="${percent}"><i style="width:${percent}%"></i></div>`;
      bar.firstChild.setAttribute('aria-label', words);
    }
    if (action) {
      const button = card.appendChild(document.createElement('button'));
      button.type = 'button';
      button.className = 'fd-button';
      button.textContent = action.words;
      button.addEventListener('click', action.run);
    }
  }
  function progress() {
    const { name, size: bytes, sent } = waiting;
    const percent = sent === undefined ? null : Math.floor(100 * sent);
    const of = { name, size: bytes ? size(bytes) : '', percent };
    const words = t(percent === null || percent >= 100 ? 'reading' : 'sending', of).replace(' ()', '');
    status('busy', words, { percent, action: { words: t('cancel'), run: cancel } });
  }
  function begin(key, name, file) {
    if (waiting && waiting.xhr) waiting.xhr.abort();
    refocus = refocus || !!document.activeElement?.closest('#drop');
    waiting = { key, name, size: file ? file.size : 0, file };
    document.dispatchEvent(new CustomEvent('fd:begin')); // the viewer lets go of its film
    progress();
  }
  function cancel() {
    const { xhr } = waiting;
    waiting = null;
    if (xhr) xhr.abort();
    status('stopped', t('cancelled'));
  }
  function failed(words) {
    if (!waiting) return;
    // What was not sent whole is never answered; what was may be, once the connection is back.
    if (!waiting.key) waiting = null;
    status('stopped', words, { alert: true });
  }
  // An answer from the server is in the page. It shows if it is the one that is waited for.
  function answered(element) {
    const card = element.querySelector('[data-asked]');
    if (!card) return;
    const stopped = row().dataset.state === 'stopped' && !waiting;
    if (stopped || (waiting && card.dataset.asked && card.dataset.asked !== waiting.key)) return;
    waiting = null;
    status('', '');
    const film = !!card.querySelector('[data-decision], .fd-source');
    if (film && !document.body.classList.contains('fd-has-film')) {
      document.querySelector('.fd-examples').open = false; // the film gets the room
    }
    document.body.classList.toggle('fd-has-film', film);
    if (refocus && document.activeElement === document.body) {
      document.querySelector('#drop button')?.focus();
    }
    refocus = false;
    // On a phone the film lies below the button that brings it.
    if (landing) requestAnimationFrame(() => document.querySelector('#viewer')?.scrollIntoView({ block: 'nearest' }));
    landing = false;
  }
  function answers(element, watch) {
    watch('value', () => requestAnimationFrame(() => answered(element)));
  }
  // Gradio sends uploads with `fetch`, which cannot tell how far it is.
  const fetched = window.fetch;
  window.fetch = function (input, init) {
    const address = typeof input === 'string' ? input : String(input.url || input);
    const body = init && init.method === 'POST' && init.body;
    if (body instanceof FormData && /\/upload(\?|$)/.test(address)) return upload(address, init, body);
    return fetched.apply(window, arguments);
  };
  function upload(address, init, body) {
    const sent = body.getAll('files');
    const film = waiting;
    const ours = film && film.file && sent.length === 1 && sent[0].name === film.file.name &&
      sent[0].size === film.file.size;
    return new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.open('POST', address);
      Object.entries(init.headers || {}).forEach(([name, value]) => xhr.setRequestHeader(name, value));
      xhr.upload.onprogress = (event) => {
        if (!ours || film !== waiting) return;
        film.sent = event.loaded / Math.max(event.total, 1);
        progress();
      };
      xhr.onload = () => {
        const answer = new Response(xhr.responseText, { status: xhr.status });
        if (ours && xhr.status === 200) {
          [film.key] = JSON.parse(xhr.responseText);
          film.xhr = null;
          files.set(film.key, sent[0]);
          if (files.size > 2) files.delete(files.keys().next().value);
        }
        resolve(answer);
      };
      xhr.onerror = () => {
        if (ours && film === waiting) failed(t('broke off'));
        reject(new TypeError('Failed to fetch'));
      };
      xhr.onabort = () => reject(new Error(STOPPED)); // by the visitor: no error to tell of
      if (ours) { film.xhr = xhr; film.sent = 0; }
      xhr.send(body);
    });
  }
  // Whatever else fails, Gradio says so at the side of the page: the film's place says it too.
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) {
        const toast = node.nodeType === 1 && (node.matches('.toast-body.error') ? node
          : node.querySelector('.toast-body.error'));
        if (toast && toast.textContent.includes(STOPPED)) toast.querySelector('.toast-close')?.click();
        else if (toast) failed(toast.querySelector('.toast-text')?.textContent.trim() || t('broke off'));
      }
    }
  }).observe(document, { childList: true, subtree: true });

  // Films dropped, pasted, chosen ---------------------------------------------------------------

  const ZONES = ['#drop', '#study-drop', '#worklist-drop'];
  const open = (zone) => !!document.querySelector(zone)?.offsetParent;

  async function input(zone) {
    for (let i = 0; i < 600; i++) { // while a film is being read its zone has no input
      const node = document.querySelector(`${zone} input[type="file"]`);
      if (node) return node;
      await new Promise((done) => { setTimeout(done, 50); });
    }
    return null;
  }
  async function give(zone, list) {
    const node = await input(zone);
    if (!node) return;
    const transfer = new DataTransfer();
    list.forEach((file) => transfer.items.add(file));
    node.files = transfer.files;
    node.dispatchEvent(new Event('change', { bubbles: true }));
  }
  function take(list) {
    let zone = ZONES.find(open);
    if (!zone) { // another tab is open: films belong to the first
      tab('film');
      [zone] = ZONES;
    }
    if (zone === '#drop' && list.length > 1) several(list);
    else give(zone, list);
  }
  function several(list) {
    if (waiting && waiting.xhr) waiting.xhr.abort();
    waiting = null;
    document.dispatchEvent(new CustomEvent('fd:begin'));
    const words = `${t('two films', { count: list.length })}. ${t('two films how')}`;
    const run = () => { status('stopped', ''); tab('study'); give('#study-drop', list); };
    status('stopped', words, { alert: true, action: { words: t('read as study'), run } });
  }
  const withFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
  document.addEventListener('paste', (event) => {
    // Text from an office program brings a picture of itself along: in a field it stays text.
    if (event.target.closest && event.target.closest('input, textarea')) return;
    const list = [...((event.clipboardData && event.clipboardData.files) || [])];
    if (!list.length) return;
    event.preventDefault();
    take(list);
  });
  // A file let go beside a drop zone must not take the page away: the browser would open it.
  document.addEventListener('dragover', (event) => { if (withFiles(event)) event.preventDefault(); });
  document.addEventListener('drop', (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    ZONES.forEach((zone) => { // Gradio does not hear of the drop: its zones stop glowing by this
      document.querySelector(`${zone} button`)?.dispatchEvent(new Event('dragleave'));
    });
    const list = [...event.dataTransfer.files];
    if (list.length) take(list);
  }, true);
  // Another frame of a file of several, by its preview or by the wheel over the film: one frame a
  // step, once the wheel rests.
  let wheeling = 0;
  const frameField = () => document.querySelector('#frame input');
  function chooseFrame(number) {
    const field = frameField();
    if (!field?.offsetParent) return;
    const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    setter.call(field, String(Math.max(1, number)));
    field.dispatchEvent(new Event('input', { bubbles: true }));
    clearTimeout(wheeling);
    wheeling = setTimeout(() => {
      field.dispatchEvent(new Event('blur'));
      document.querySelector('#frame-row button').click();
    }, 250);
  }
  document.addEventListener('fd:frame', ({ detail: step }) => {
    chooseFrame(Number(frameField()?.value) + step);
  });
  document.addEventListener('change', (event) => {
    const node = event.target;
    if (node.type !== 'file' || !node.files || !node.files.length) return;
    if (node.closest('#drop')) begin(null, node.files[0].name, node.files[0]);
    // Films of a chosen folder keep their folder in their names: many are called IM0001.
    if (node.webkitdirectory && [...node.files].some((file) => file.webkitRelativePath)) {
      const transfer = new DataTransfer();
      [...node.files].forEach((file) => transfer.items.add(
        new File([file], file.webkitRelativePath || file.name, { type: file.type })));
      node.files = transfer.files;
    }
  }, true);
  document.addEventListener('click', (event) => {
    const frame = event.target.closest('#frame-row button');
    const view = event.target.closest('[data-view]');
    const preview = event.target.closest('[data-frame]');
    if (preview) chooseFrame(Number(preview.dataset.frame));
    if (frame) {
      const number = Math.round(Number(document.querySelector('#frame input').value)) || 1;
      begin(`frame:${number}`, `${t('frame')} ${number}`);
    }
    if (view) begin(`view:${view.dataset.view}`, view.dataset.name);
    landing = landing || Boolean(view || event.target.closest('#reveal'));
  }, true);

  // A frame of another site may be taller than the screen: the film is not.
  const screen_ = () => document.documentElement.style.setProperty(
    '--fd-screen', `${Math.min(window.innerHeight, window.screen.availHeight || Infinity)}px`);
  addEventListener('resize', screen_);
  screen_();

  // Tabs and theme ------------------------------------------------------------------------------

  const TABS = ['film', 'study', 'worklist', 'about'];
  const buttons = () => [...document.querySelectorAll('.tab-container [role="tab"]')];
  function tab(name) {
    buttons()[TABS.indexOf(name)]?.click();
  }
  function header(element) {
    translate(element);
    element.querySelector('[data-machine]').textContent = strings['fd machine'];
    const menu = element.querySelector('[data-language]');
    menu.value = fd.language;
    menu.addEventListener('change', () => {
      kept('language', menu.value);
      const address = new URL(location.href);
      address.searchParams.set('lang', menu.value);
      location.assign(address);
    });
    const theme = kept('theme');
    if (theme) document.body.classList.toggle('dark', theme === 'dark');
    element.querySelector('.fd-theme').addEventListener('click', () => {
      kept('theme', document.body.classList.toggle('dark') ? 'dark' : 'light');
    });
    const start = () => {
      if (!buttons().length) return requestAnimationFrame(start);
      if (TABS.includes(query.get('tab'))) tab(query.get('tab'));
      document.addEventListener('click', (event) => {
        const name = TABS[buttons().indexOf(event.target.closest('[role="tab"]'))];
        if (!name) return;
        const address = new URL(location.href);
        address.searchParams.set('tab', name);
        history.replaceState(history.state, '', address);
      });
    };
    start();
  }
  return { t, translate, header, begin, answers, files, tab, language: 'en' };
})();
