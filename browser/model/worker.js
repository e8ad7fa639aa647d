// The worker that holds the network. Started with everything it needs: it asks nothing of any server.

import * as ort from './ort.wasm.min.mjs';
import { read } from './reading.js';

let config = null;
let session = null;

async function start({ runtime, glue, model, threads, settings }) {
  config = settings;
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.wasmPaths = { mjs: glue };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  session = await ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: ['wasm'], graphOptimizationLevel: 'all',
  });
}

async function run(canvas) {
  const film = new ort.Tensor('float32', canvas.data, [1, 1, canvas.height, canvas.width]);
  const { logit, evidence, embedding } = await session.run({ film });
  const [, height, width] = evidence.dims;
  return {
    logit: logit.data[0], embedding: embedding.data, evidence: { data: evidence.data, height, width },
  };
}

self.onmessage = async ({ data: { id, what, film, ...rest } }) => {
  try {
    if (what === 'start') {
      await start(rest);
      self.postMessage({ id });
      return;
    }
    const reading = await read(config, film, run);
    self.postMessage({ id, reading }, [reading.heat.data.buffer]);
  } catch (error) {
    self.postMessage({ id, failed: String(error?.message ?? error) });
  }
};
