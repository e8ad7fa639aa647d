// The small heads that read the network's embedding; null where the weights have none.

// Whether the film is like those that the network learnt from: the Mahalanobis distance from them.
export function familiarityOf({ familiarity: known }, embedding) {
  if (!known) return null;
  const offset = known.mean.map((mean, i) => embedding[i] - mean);
  let squared = offset.reduce((sum, value) => sum + value * value, 0) / known.noise;
  const along = new Float64Array(known.components[0].length);
  known.components.forEach((row, i) => row.forEach((value, k) => { along[k] += offset[i] * value; }));
  for (const length of along) squared -= length * length;
  const score = Math.sqrt(Math.max(squared, 0)) / known.threshold;
  return { familiar: score <= 1, score };
}

// Which part of the body the film shows; none is named where the head is not sure.
export function anatomyOf({ anatomy: head }, embedding, familiar) {
  if (!head) return null;
  const scores = head.weight.map((row, r) => row.reduce((sum, w, i) => sum + w * embedding[i], head.bias[r]));
  const highest = Math.max(...scores);
  const odds = scores.map((score) => Math.exp(score - highest));
  const probability = 1 / odds.reduce((sum, value) => sum + value, 0);
  const named = familiar && probability >= head.min_probability;
  return { region: named ? head.regions[scores.indexOf(highest)] : null, probability };
}
