// The list in the browser: a row opens its film, headers sort, a filter keeps one verdict.
const order = { column: null, down: false, filter: '', scroll: 0 };

function arrange() {
  const body = element.querySelector('tbody');
  if (!body) return;
  const filter = element.querySelector('[data-filter]');
  filter.value = order.filter;
  if (filter.value !== order.filter) filter.value = order.filter = '';
  const rows = [...body.rows];
  if (order.column !== null) {
    const key = (row) => {
      const cell = row.cells[order.column];
      return cell.dataset.key ?? cell.textContent;
    };
    rows.sort((a, b) => (order.down ? -1 : 1) * key(a).localeCompare(key(b), undefined, { numeric: true }));
    body.append(...rows);
  }
  rows.forEach((row) => { row.hidden = Boolean(order.filter) && row.dataset.decision !== order.filter; });
  element.querySelectorAll('[data-sort]').forEach((button) => {
    const chosen = button.dataset.sort === order.column;
    button.closest('th').setAttribute('aria-sort', !chosen ? 'none' : order.down ? 'descending' : 'ascending');
  });
  element.querySelector('.fd-scroll').scrollTop = order.scroll;
}

element.addEventListener('click', (event) => {
  const sort = event.target.closest('[data-sort]');
  const row = event.target.closest('[data-row]');
  if (sort) {
    order.down = sort.dataset.sort === order.column && !order.down;
    order.column = sort.dataset.sort;
    arrange();
  }
  if (row) {
    fd.begin(`row:${row.dataset.row}`, row.dataset.name);
    trigger('pick', { index: Number(row.dataset.row) });
  }
});
element.addEventListener('change', (event) => {
  if (!event.target.matches('[data-filter]')) return;
  order.filter = event.target.value;
  arrange();
});
element.addEventListener('scroll', (event) => {
  if (event.target.clientHeight) order.scroll = event.target.scrollTop; // 0 high: its tab is not open
}, true);
// The list keeps its place while another tab is open.
new IntersectionObserver(() => {
  const list = element.querySelector('.fd-scroll');
  if (list && list.clientHeight) list.scrollTop = order.scroll;
}).observe(element);
watch('value', () => requestAnimationFrame(arrange));
