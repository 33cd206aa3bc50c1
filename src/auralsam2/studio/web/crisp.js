// A canvas at the screen's resolution.

/** The cleared context of a canvas at its displayed size, in CSS pixels. */
export function crisp(canvas) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * dense);
  canvas.height = Math.round(canvas.clientHeight * dense);
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  return context;
}
