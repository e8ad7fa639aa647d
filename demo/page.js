// Paste a film, or drop it anywhere on the film's tab: both hand it to the drop zone.
(() => {
  const give = (file) => {
    const input = document.querySelector('#drop input[type="file"]');
    if (!input || input.offsetParent === undefined) return false;
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
    return true;
  };
  document.addEventListener('paste', (event) => {
    const file = event.clipboardData && event.clipboardData.files[0];
    if (file && give(file)) event.preventDefault();
  });
  const onFilm = (event) => event.target.closest && event.target.closest('.fv, #film-result');
  document.addEventListener('dragover', (event) => { if (onFilm(event)) event.preventDefault(); });
  document.addEventListener('drop', (event) => {
    const file = event.dataTransfer && event.dataTransfer.files[0];
    if (file && onFilm(event) && give(file)) event.preventDefault();
  });
})();
