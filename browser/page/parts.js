// The page's parts: fetched once, checked against the digests that the page itself holds, and kept.

export class PartError extends Error {}

// listed: { name: { sha256, packed, pieces } }; onProgress(share that has come, bytes in all)
export async function fetchParts(base, listed, onProgress) {
  const total = Object.values(listed).reduce((sum, part) => sum + part.packed, 0);
  const others = new AbortController(); // one part that fails ends the fetching of the others
  let come = 0;
  const fetchPiece = async (name) => {
    const response = await fetch(new URL(name, base), { signal: others.signal });
    if (!response.ok) throw new PartError(name);
    const chunks = [];
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(chunks);
      chunks.push(value);
      come += value.byteLength;
      if (!others.signal.aborted) onProgress(Math.min(1, come / total), total);
    }
  };
  const fetchPart = async ([name, part]) => {
    const names = Array.from({ length: part.pieces }, (_, i) => `${name}.${i}.part`);
    const packed = new Blob(await Promise.all(names.map(fetchPiece)));
    const data = await unpack(packed).catch(() => { throw new PartError(name); });
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
    if (hex !== part.sha256) throw new PartError(name);
    return [name, data];
  };
  try {
    return Object.fromEntries(await Promise.all(Object.entries(listed).map(fetchPart)));
  } catch (error) {
    others.abort();
    throw error;
  }
}

function unpack(packed) {
  return new Response(packed.stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}
