// Offers the bytes of a message as a file; they come with the message and lie in no file elsewhere.
watch('value', () => {
  if (!props.value) return;
  const { name, mime, data } = JSON.parse(props.value);
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], { type: mime }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
});
