// Paste a film, or drop it anywhere on the film's tab: both hand it to the drop zone.
(() => {
  const give = (file) => {
    const input = document.querySelector('#drop input[type="file"]');
    if (!input || !document.querySelector('#drop').offsetParent) return false; // another tab is open
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event('change', { bubbles: true }));
    return true;
  };
  document.addEventListener('paste', (event) => {
    // Text from an office program brings a picture of itself along: in a field it stays text.
    if (event.target.closest && event.target.closest('input, textarea')) return;
    const file = event.clipboardData && event.clipboardData.files[0];
    if (file && give(file)) event.preventDefault();
  });
  // A file let go beside a drop zone must not take the page away: the browser would open it.
  const beside = (event) => event.dataTransfer && event.dataTransfer.types.includes('Files') &&
    !event.defaultPrevented;
  document.addEventListener('dragover', (event) => { if (beside(event)) event.preventDefault(); });
  document.addEventListener('drop', (event) => {
    if (!beside(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) give(event.dataTransfer.files[0]);
  });
})();
