// Is this a film that the model knows? By the place of its embedding on the line that tells films
// from other pictures, by its colour, and by whether it shows anything.

const REACH = 4; // a 9 x 9 neighbourhood

export function check(ood, embedding, picture, colourfulness) {
  let projection = 0;
  for (let i = 0; i < embedding.length; i++) projection += embedding[i] * ood.direction[i];
  const score = Math.max(0, (projection - ood.zero) / (ood.threshold - ood.zero));
  const refuse = (at, why) => ({ inScope: false, score: at, reason: ood.words[why], why });
  if (detail(picture) < ood.least_detail) return refuse(Math.max(score, 2), 'blank');
  if (colourfulness > ood.max_colourfulness) return refuse(Math.max(score, 2), 'colour');
  if (score > 1) return refuse(score, 'unlike');
  return { inScope: true, score, reason: '' };
}

// Mean difference of a pixel from its surroundings; the border is mirrored without its last row.
function detail({ data, height, width, stride }) {
  const at = (index, count) => {
    let i = index;
    while (i < 0 || i >= count) {
      if (count === 1) return 0;
      i = i < 0 ? -i : 2 * (count - 1) - i;
    }
    return i;
  };
  const rows = new Float64Array(height * width);
  for (let y = 0; y < height; y++) {
    let sum = 0;
    for (let k = -REACH; k <= REACH; k++) sum += data[y * stride + at(k, width)];
    for (let x = 0; x < width; x++) {
      rows[y * width + x] = sum;
      sum += data[y * stride + at(x + REACH + 1, width)] - data[y * stride + at(x - REACH, width)];
    }
  }
  let total = 0;
  for (let x = 0; x < width; x++) {
    let sum = 0;
    for (let k = -REACH; k <= REACH; k++) sum += rows[at(k, height) * width + x];
    for (let y = 0; y < height; y++) {
      total += Math.abs(data[y * stride + x] - sum / 81);
      sum += rows[at(y + REACH + 1, height) * width + x] - rows[at(y - REACH, height) * width + x];
    }
  }
  return total / (height * width);
}
