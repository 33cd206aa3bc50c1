// A canvas as sharp as the screen.

/** The context of a canvas made as large as it is shown, cleared, in pixels of the page. */
export function crisp(canvas) {
  const dense = window.devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * dense);
  canvas.height = Math.round(canvas.clientHeight * dense);
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  return context;
}
