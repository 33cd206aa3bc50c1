// Draws minimum and maximum of the audio along its time.

import { crisp } from "./crisp.js";

/** @param peaks [[low, high]…] in [-1, 1], evenly spaced over the clip */
export function drawWave(canvas, peaks) {
  const context = crisp(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const middle = height / 2;
  // Quiet clips are drawn larger, so that something is seen; silence stays a line.
  const loudest = Math.max(0.05, ...peaks.map(([low, high]) => Math.max(-low, high)));
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x += 1) {
    const from = Math.floor((x / width) * peaks.length);
    const to = Math.max(from + 1, Math.floor(((x + 1) / width) * peaks.length));
    let [low, high] = [0, 0];
    for (const [down, up] of peaks.slice(from, to)) [low, high] = [Math.min(low, down), Math.max(high, up)];
    const top = middle - (high / loudest) * (middle - 2);
    const bottom = middle - (low / loudest) * (middle - 2);
    context.fillRect(x, top, 1, Math.max(1, bottom - top));
  }
}
