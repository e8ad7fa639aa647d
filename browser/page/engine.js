// The two workers: one reads files, one holds the network. A worker is started from a text of this
// page, and so is bound by the page's own rules on connections, whatever headers its file came with.

const MOST_THREADS = 4;

function startWorker(address) {
  const text = `import ${JSON.stringify(String(address))};`;
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  const worker = new Worker(url, { type: 'module' });
  const waiting = new Map();
  let next = 0;
  const fail = (reason) => {
    for (const { reject } of waiting.values()) reject(new Error(reason));
    waiting.clear();
  };
  worker.onmessage = ({ data: { id, failed, ...answer } }) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (failed === undefined) asked?.resolve(answer);
    else asked?.reject(new Error(failed));
  };
  worker.onerror = (event) => fail(event.message || 'the worker could not be started');
  return {
    ask: (message, transfer = []) => new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ...message }, transfer);
    }),
    end: () => {
      worker.terminate();
      URL.revokeObjectURL(url);
      fail('ended');
    },
  };
}

// What a file, or one of its frames, shows: { film } or { error }, one after the other. Takes the
// bytes over.
export class Reader {
  #base;
  #start;
  #limits;
  #worker = null;
  #last = Promise.resolve();

  static async start(base, parts, settings) {
    const reader = new Reader(base, parts, settings);
    await reader.#begin();
    return reader;
  }

  constructor(base, parts, settings) {
    const { sentences, syntaxes, limits, dicom_words: words, screenshot } = settings;
    const { jpeg, jpeg_ls, jpeg_2000, htj2k, webp } = parts;
    this.#base = base;
    this.#limits = limits;
    this.#start = {
      what: 'start', settings: { sentences, syntaxes, limits, words, screenshot },
      binaries: { jpeg, jpeg_ls, jpeg_2000, htj2k, webp },
    };
    this.damaged = { kind: 'unreadable', message: sentences['dicom damaged'] };
  }

  read(bytes, frame = null) {
    const answer = this.#last.then(() => this.#read(bytes, frame));
    this.#last = answer.catch(() => {});
    return answer;
  }

  #begin() {
    this.#worker = startWorker(new URL('reader.js', this.#base));
    return this.#worker.ask(this.#start);
  }

  async #read(bytes, frame) {
    if (!this.#worker) await this.#begin();
    const late = setTimeout(() => this.#end(), 1000 * this.#limits.max_seconds);
    try {
      return await this.#worker.ask({ what: 'read', bytes, frame }, [bytes]);
    } catch {
      this.#end(); // a decoder that crashed or did not end leaves nothing to go on with
      return { error: this.damaged };
    } finally {
      clearTimeout(late);
    }
  }

  #end() {
    this.#worker?.end();
    this.#worker = null;
  }
}

// What the model says of a film.
export class Model {
  #worker;

  static async start(base, parts, settings, threads = usableThreads()) {
    const model = new Model();
    model.#worker = startWorker(new URL('model.js', base));
    await model.#worker.ask({
      what: 'start', runtime: parts.runtime, model: parts.network, settings, threads,
      glue: String(new URL('ort-wasm-simd-threaded.mjs', base)),
    });
    return model;
  }

  async read({ data, height, width, colourfulness, facts }) {
    const film = { data, height, width, colourfulness, facts };
    return (await this.#worker.ask({ what: 'read', film })).reading;
  }

  // A blank film, so that the first real one waits no longer than the others.
  warmUp() {
    return this.read({ data: new Float32Array(448 * 512), height: 512, width: 448, colourfulness: 0 });
  }

  end() {
    this.#worker.end();
  }
}

export function usableThreads() {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1));
}
