// What a film's file says against reading it; empty where it says nothing.

export function fileObjection({ radiographs, other_parts, words }, facts) {
  if (facts.screenshot?.length === 0) return words.screenshot;
  const { modality = '', body_part: part = '' } = facts;
  if (modality && !radiographs.includes(modality)) return words.modality.replace('{}', modality);
  return other_parts.includes(part) ? words.part.replace('{}', part) : '';
}
