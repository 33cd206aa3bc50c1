// Draws points, boxes, outlines and the crosshair on the ink canvas, in pixels of the source times `scale`.

export const ACCENT = "#ffffff";

/** Stroke in a colour with a dark line under it, visible on any background. */
export function twice(context, colour, width) {
  context.strokeStyle = "rgb(0 0 0 / 0.65)";
  context.lineWidth = width * 2;
  context.stroke();
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

export function drawPoint(context, [x, y, label], colour, scale, density) {
  const [cx, cy, radius, arm] = [x * scale, y * scale, 7 * density, 3.4 * density];
  context.beginPath();
  context.arc(cx, cy, radius, 0, 2 * Math.PI);
  context.fillStyle = label ? colour : "#ffffff";
  context.fill();
  twice(context, label ? "#ffffff" : colour, 1.6 * density);
  context.beginPath();
  context.moveTo(cx - arm, cy);
  context.lineTo(cx + arm, cy);
  if (label) {
    context.moveTo(cx, cy - arm);
    context.lineTo(cx, cy + arm);
  }
  context.strokeStyle = label ? "#ffffff" : "#111111";
  context.lineWidth = 1.8 * density;
  context.stroke();
}

export function drawBox(context, [ax, ay, bx, by], colour, scale, density, dash) {
  context.setLineDash(dash);
  context.beginPath();
  context.rect(ax * scale, ay * scale, (bx - ax) * scale, (by - ay) * scale);
  twice(context, colour, 1.5 * density);
  context.setLineDash([]);
}

export function drawOutline(context, outline, colour, scale, density) {
  context.beginPath();
  for (const [x, y] of outline) context.lineTo(x * scale, y * scale);
  twice(context, colour, 1.5 * density);
  for (const [x, y] of outline.length < 60 ? outline : []) {
    context.beginPath();
    context.arc(x * scale, y * scale, 3 * density, 0, 2 * Math.PI);
    twice(context, colour, 1.5 * density);
  }
}

export function drawCrosshair(context, [x, y], scale, density) {
  const [cx, cy, from, to] = [x * scale, y * scale, 4 * density, 14 * density];
  context.beginPath();
  for (const [right, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(cx + right * from, cy + down * from);
    context.lineTo(cx + right * to, cy + down * to);
  }
  twice(context, ACCENT, 1.5 * density);
}
