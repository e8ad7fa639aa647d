// Is this film like those that the network learnt from? Its distance from them decides at which
// operating points it is read.

const floats = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

// known: null in weights that cannot tell.
export function familiarityOf(known, embedding) {
  if (!known) return null;
  const [mean, components] = [floats(known.mean), floats(known.components)]; // (E), (E, K)
  const count = components.length / mean.length;
  const along = new Float64Array(count);
  let squared = 0;
  for (let i = 0; i < mean.length; i++) {
    const offset = embedding[i] - mean[i];
    squared += (offset * offset) / known.noise;
    for (let k = 0; k < count; k++) along[k] += offset * components[i * count + k];
  }
  for (const value of along) squared -= value * value;
  const score = Math.sqrt(Math.max(squared, 0)) / known.threshold;
  return { familiar: score <= 1, score, reason: score <= 1 ? '' : known.words };
}

// The calibration for a film: an unfamiliar one has operating points of its own.
export function calibrationOf({ calibration, familiarity: known }, familiarity) {
  if (familiarity?.familiar ?? true) return calibration;
  const { rule_out, rule_in } = known;
  const display_threshold = Math.max(calibration.display_threshold, rule_out);
  return { ...calibration, rule_out, rule_in, display_threshold };
}
