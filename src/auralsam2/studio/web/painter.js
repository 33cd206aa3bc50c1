// Paints masks from their logits: a tint inside, a line in the object's colour along the edge, a dark one around it.
//
// Logits are resized bilinearly (align_corners=False), as the server does before it thresholds them for an export.
// The distance of a pixel to the edge is (logit - threshold) / |gradient|, which makes the lines smooth.

const TINT = 0.4;
const CHOSEN_TINT = 0.5;
const LINE = 1.15; // half the width of the line, in pixels of the canvas
const HALO = 2.2; // outer edge of the dark line around it
const HALO_ALPHA = 0.5;
const NEAR = 3; // pixels within which an edge has a pixel inside
const REACH = 3.2; // pixels from the edge at which nothing but tint or nothing is left

const FAINT = 0.02; // share of the tint that is not painted

/** Cells with a logit above the threshold: [left, top, right, bottom], inclusive, or null. */
function extent({ q, width, height }, level) {
  let [left, top, right, bottom] = [width, -1, -1, -1];
  for (let y = 0; y < height; y += 1) {
    const row = y * width;
    let x = 0;
    while (x < width && q[row + x] <= level) x += 1;
    if (x === width) continue;
    let end = width - 1;
    while (q[row + end] <= level) end -= 1;
    if (top < 0) top = y;
    bottom = y;
    if (x < left) left = x;
    if (end > right) right = end;
  }
  return top < 0 ? null : [left, top, right, bottom];
}

/** For each pixel of a range: its two neighbouring cells, and the distance from the first. */
function between(from, to, pixels, cells) {
  const count = to - from;
  const first = new Int32Array(count);
  const second = new Int32Array(count);
  const part = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    const place = Math.max(0, ((from + i + 0.5) * cells) / pixels - 0.5);
    first[i] = Math.min(cells - 1, Math.floor(place));
    second[i] = Math.min(cells - 1, first[i] + 1);
    part[i] = place - first[i];
  }
  return { first, second, part };
}

/** Pixels covered by cells from `low` to `high`, with a margin for the lines. */
function reach(low, high, pixels, cells) {
  const margin = Math.ceil(REACH) + 1;
  const from = Math.floor(((low - 0.5) * pixels) / cells) - margin;
  const to = Math.ceil(((high + 1.5) * pixels) / cells) + margin;
  return [Math.max(0, from), Math.min(pixels, to)];
}

function blend(data, at, red, green, blue, alpha) {
  const under = data[at + 3] / 255;
  if (under === 0) {
    data[at] = red;
    data[at + 1] = green;
    data[at + 2] = blue;
    data[at + 3] = alpha * 255;
    return;
  }
  const total = alpha + under * (1 - alpha);
  const share = alpha / total;
  data[at] += (red - data[at]) * share;
  data[at + 1] += (green - data[at + 1]) * share;
  data[at + 2] += (blue - data[at + 2]) * share;
  data[at + 3] = total * 255;
}

/** Alphas of line and halo at a distance (pixels, positive inside) from the edge. */
function edge(distance) {
  const away = Math.abs(distance);
  const line = Math.min(1, Math.max(0, LINE + 0.5 - away));
  const halo = distance < 0 ? HALO_ALPHA * Math.min(1, Math.max(0, HALO + 0.5 - away)) : 0;
  return { line, halo };
}

/**
 * Paint one mask over an image.
 *
 * @param image ImageData to paint into.
 * @param mask decoded mask; a soft one has logits from -1 to 1, whose tint rises with them.
 * @param colour [red, green, blue].
 * @param threshold logit above which a pixel belongs to the object.
 * @param chosen whether it is the selected object, with a stronger tint.
 * @param opacity factor of the tint: 0 leaves the edge alone.
 * @returns number of pixels inside.
 */
export function paint(image, mask, colour, threshold, chosen = false, opacity = 1) {
  const { soft } = mask;
  const level = soft ? 0 : threshold / mask.scale;
  const cells = extent(mask, soft ? (FAINT - 1) / mask.scale : level);
  if (!cells) return 0;
  const { data, width, height } = image;
  const { q } = mask;
  const [x0, x1] = reach(cells[0], cells[2], width, mask.width);
  const [y0, y1] = reach(cells[1], cells[3], height, mask.height);
  const columns = between(x0, x1, width, mask.width);
  const rows = between(y0, y1, height, mask.height);
  const [perX, perY] = [mask.width / width, mask.height / height];
  const value = new Float32Array(mask.width);
  const slope = new Float32Array(mask.width);
  const [red, green, blue] = colour;
  const tint = Math.min(1, (chosen ? CHOSEN_TINT : TINT) * opacity);
  const across = columns.part.length;
  const over = new Float32Array(across * rows.part.length);
  const away = new Float32Array(over.length);
  let inside = 0;

  for (let y = 0; y < rows.part.length; y += 1) {
    const [above, below, down] = [rows.first[y] * mask.width, rows.second[y] * mask.width, rows.part[y]];
    for (let x = 0; x < mask.width; x += 1) {
      slope[x] = q[below + x] - q[above + x];
      value[x] = q[above + x] + slope[x] * down;
    }
    for (let x = 0, i = y * across; x < across; x += 1, i += 1) {
      const [left, right, along] = [columns.first[x], columns.second[x], columns.part[x]];
      const rise = value[right] - value[left];
      over[i] = value[left] + rise * along - level;
      const gradientX = rise * perX;
      const gradientY = (slope[left] + (slope[right] - slope[left]) * along) * perY;
      const steepness = gradientX * gradientX + gradientY * gradientY;
      away[i] = over[i] * over[i] > REACH * REACH * steepness ? Infinity : over[i] / Math.sqrt(steepness || 1);
    }
  }
  for (let y = 0, i = 0; y < rows.part.length; y += 1) {
    let at = ((y0 + y) * width + x0) * 4;
    for (let x = 0; x < across; x += 1, i += 1, at += 4) {
      if (over[i] > 0) inside += 1;
      const share = soft ? (over[i] * mask.scale + 1) / 2 : over[i] > 0 ? 1 : 0;
      if (share > FAINT) blend(data, at, red, green, blue, tint * share);
      if (Math.abs(away[i]) > REACH || (over[i] <= 0 && !touches(over, x, y, across, rows.part.length))) continue;
      const { line, halo } = edge(away[i]);
      if (halo > 0) blend(data, at, 0, 0, 0, halo);
      if (line > 0) blend(data, at, red, green, blue, line);
    }
  }
  return inside;
}

/** Whether a pixel inside the mask is near; logits that nearly reach the threshold have no edge. */
function touches(over, x, y, across, down) {
  for (let row = Math.max(0, y - NEAR); row <= Math.min(down - 1, y + NEAR); row += 1) {
    for (let column = Math.max(0, x - NEAR); column <= Math.min(across - 1, x + NEAR); column += 1) {
      if (over[row * across + column] > 0) return true;
    }
  }
  return false;
}

/** The mask at a size, as 0 and 255. */
export function binary(mask, width, height, threshold) {
  const level = threshold / mask.scale;
  const columns = between(0, width, width, mask.width);
  const rows = between(0, height, height, mask.height);
  const inside = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const [above, below, down] = [rows.first[y] * mask.width, rows.second[y] * mask.width, rows.part[y]];
    for (let x = 0; x < width; x += 1) {
      const [left, right, along] = [columns.first[x], columns.second[x], columns.part[x]];
      const high = mask.q[above + left] + (mask.q[above + right] - mask.q[above + left]) * along;
      const low = mask.q[below + left] + (mask.q[below + right] - mask.q[below + left]) * along;
      if (high + (low - high) * down > level) inside[y * width + x] = 255;
    }
  }
  return inside;
}

/** "#rrggbb" as [red, green, blue]. */
export function rgb(colour) {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
}
