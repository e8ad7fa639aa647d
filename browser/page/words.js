// The words of the two pages, and how values are put into them.

let words = {};

export function useWords(given) {
  words = given;
}

export const word = (key) => words[key];
export const here = (key) => words.here[key]; // of this page alone

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => String(values[name])).trim();

export const say = (key, values = {}) => fill(words[key], values);
export const sayHere = (key, values = {}) => fill(words.here[key], values);

export function escape(text) {
  const signs = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#x27;' };
  return String(text).replace(/[&<>"']/g, (sign) => signs[sign]);
}

// A probability as people read it: never "0 %" or "100 %"; with `digits` of a percent.
export function percent(probability, digits = 0) {
  if (digits) return `${(100 * probability).toFixed(digits)} %`;
  if (probability < 0.01) return '<1 %';
  if (probability > 0.99) return '>99 %';
  return `${Math.round(100 * probability)} %`;
}

// With one or two more digits where it would read the same as another figure.
export function toldApart(probability, ...others) {
  let shown;
  for (let digits = 0; digits < 3; digits++) {
    shown = percent(probability, digits);
    if (others.every((other) => other === probability || percent(other, digits) !== shown)) break;
  }
  return shown;
}
