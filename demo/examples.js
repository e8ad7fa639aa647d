fd.translate(element);
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-example]');
  if (!button) return;
  const index = Number(button.dataset.example);
  fd.begin(`example:${index}`, button.textContent.trim());
  trigger('pick', { index });
});
