// From the network's numbers to probabilities and a decision; every constant comes from the
// configuration that travels with the weights.

export const DECISIONS = ['fracture likely', 'uncertain', 'no fracture seen', 'out of scope'];
export const [FRACTURE_LIKELY, UNCERTAIN, NO_FRACTURE_SEEN, OUT_OF_SCOPE] = DECISIONS;

export function probability({ scale, bias }, value) {
  return 1 / (1 + Math.exp(-Math.max(-60, Math.min(60, scale * value + bias))));
}

export function decide(calibration, chance, inScope) {
  if (!inScope) return OUT_OF_SCOPE;
  if (chance >= calibration.rule_in) return FRACTURE_LIKELY;
  return chance < calibration.rule_out ? NO_FRACTURE_SEEN : UNCERTAIN;
}

// The film's likelihood ratio applied to another pre-test probability (Bayes).
export function postTest(chance, prevalence, before) {
  if (chance === 0 || chance === 1) return chance;
  const odds = (likelihoodRatio(chance, prevalence) * before) / (1 - before);
  return odds / (1 + odds);
}

export function likelihoodRatio(chance, prevalence) {
  const inside = Math.max(1e-6, Math.min(1 - 1e-6, chance));
  return ((inside / (1 - inside)) * (1 - prevalence)) / prevalence;
}
