// The brush mask: starts as the displayed mask; strokes add to it or erase from it.

import { binary } from "./painter.js";

const LONGEST = 2048; // pixels; below, the mask has the size of the source

export class Brush {
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d", { willReadFrequently: true });
  #last = null;

  /** @param frame {width, height} of the source; @param mask to start from, or null */
  begin(frame, mask, threshold, erase) {
    this.#context.globalCompositeOperation = "source-over";
    const scale = Math.min(1, LONGEST / Math.max(frame.width, frame.height));
    this.#canvas.width = Math.round(frame.width * scale);
    this.#canvas.height = Math.round(frame.height * scale);
    this.scale = this.#canvas.width / frame.width;
    this.#context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (mask) this.#fill(mask, threshold);
    this.#last = null;
    this.#context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  }

  #fill(mask, threshold) {
    const { width, height } = this.#canvas;
    const inside = binary(mask, width, height, threshold);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < inside.length; i += 1) pixels[i] = inside[i] ? 0xffffffff : 0;
    this.#context.putImageData(image, 0, 0);
  }

  /** Continue the stroke to a point, in source pixels. */
  stroke([x, y], diameter) {
    const here = [x * this.scale, y * this.scale];
    const context = this.#context;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.strokeStyle = "#fff";
    context.lineWidth = Math.max(1, diameter * this.scale);
    context.beginPath();
    context.moveTo(...(this.#last ?? here));
    context.lineTo(...here);
    context.stroke();
    this.#last = here;
  }

  /** Fill an outline, given in source pixels. */
  fill(outline) {
    const context = this.#context;
    context.fillStyle = "#fff";
    context.beginPath();
    for (const [x, y] of outline) context.lineTo(x * this.scale, y * this.scale);
    context.closePath();
    context.fill();
  }

  /** Display it in a colour. */
  draw(context, colour) {
    const { width, height } = context.canvas;
    const layer = new OffscreenCanvas(width, height);
    const paint = layer.getContext("2d");
    paint.drawImage(this.#canvas, 0, 0, width, height);
    paint.globalCompositeOperation = "source-in";
    paint.fillStyle = colour;
    paint.fillRect(0, 0, width, height);
    context.globalAlpha = 0.55;
    context.drawImage(layer, 0, 0);
    context.globalAlpha = 1;
  }

  /** As a PNG in base64: white is the object. */
  async png() {
    const { width, height } = this.#canvas;
    const flat = new OffscreenCanvas(width, height);
    const context = flat.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.drawImage(this.#canvas, 0, 0);
    const image = context.getImageData(0, 0, width, height);
    // The edge of a stroke is smooth; a mask is not.
    for (let i = 0; i < image.data.length; i += 4) {
      image.data[i] = image.data[i + 1] = image.data[i + 2] = image.data[i] > 127 ? 255 : 0;
    }
    context.putImageData(image, 0, 0);
    const bytes = new Uint8Array(await (await flat.convertToBlob({ type: "image/png" })).arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    return btoa(text);
  }
}
