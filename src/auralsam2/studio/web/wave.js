// Draws minimum and maximum of the audio along its time.

import { crisp } from "./crisp.js";

/** @param peaks [[low, high]…] in [-1, 1], evenly spaced over the clip @param begin, end the shown part, in [0, 1] */
export function drawWave(canvas, peaks, begin = 0, end = 1) {
  const context = crisp(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const middle = height / 2;
  // Quiet clips are drawn larger, so that something is seen; silence stays a line.
  const loudest = Math.max(0.05, ...peaks.map(([low, high]) => Math.max(-low, high)));
  context.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x += 1) {
    const at = (place) => Math.floor((begin + (place / width) * (end - begin)) * peaks.length);
    const from = at(x);
    const to = Math.max(from + 1, at(x + 1));
    let [low, high] = [0, 0];
    for (const [down, up] of peaks.slice(from, to)) [low, high] = [Math.min(low, down), Math.max(high, up)];
    const top = middle - (high / loudest) * (middle - 2);
    const bottom = middle - (low / loudest) * (middle - 2);
    context.fillRect(x, top, 1, Math.max(1, bottom - top));
  }
}

/** Draw the part of a spectrogram between two shares of its width, in the colour of the canvas. */
export function drawSpectrogram(canvas, picture, begin = 0, end = 1) {
  const context = crisp(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const { naturalWidth: columns, naturalHeight: rows } = picture;
  context.drawImage(picture, begin * columns, 0, Math.max(1, (end - begin) * columns), rows, 0, 0, width, height);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = getComputedStyle(canvas).color;
  context.fillRect(0, 0, width, height);
}

const FLOOR = -48; // decibels at which the meter is empty

/** Share of the meter that the loudest of some peaks fills, in [0, 1]. */
export function level(peaks, from, to) {
  const loudest = Math.max(0, ...peaks.slice(from, Math.max(from + 1, to)).map(([low, high]) => Math.max(-low, high)));
  return loudest > 0 ? Math.max(0, 1 - (20 * Math.log10(loudest)) / FLOOR) : 0;
}
