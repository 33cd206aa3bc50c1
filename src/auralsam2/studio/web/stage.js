// Shows the tick at the playhead: image, masks, prompts, and the original image beside.

import { el } from "./dom.js";
import { paint, rgb } from "./painter.js";
import { fail } from "./toast.js";
import { Zoom } from "./zoom.js";

const LONGEST = 1600; // pixels of a canvas; beyond that painting takes long and shows no more
const GAP = 12;
const MOST_ZOOM = 12;

/** Event on the element: `painted` (detail: {object, tick}), when a new mask is on the canvas. */
export class Stage {
  shown = -1;
  density = 1; // pixels of the canvas for one of the page
  zoom = 1;
  pan = [0, 0];
  withheld = null; // object whose mask is not painted, because a brush is changing it
  #session;
  #sides = false;
  #soon = 0;
  #awaited = null; // a mask that came and is not painted yet: it may come before the object it is of

  constructor(session) {
    this.#session = session;
    this.picture = el("canvas", { class: "layer picture" });
    this.overlay = el("canvas", { class: "layer masks" });
    this.ink = el("canvas", { class: "layer ink", tabIndex: 0, role: "application" });
    this.original = el("canvas", { class: "layer" });
    this.pane = el("figure", { class: "pane" }, this.picture, this.overlay, this.ink);
    this.beside = el("figure", { class: "pane beside", hidden: true }, this.original, el("figcaption", {}, "Original"));
    this.element = el("section", { class: "stage", "aria-label": "Picture" }, this.beside, this.pane);
    this.drawInk = () => {};
    new Zoom(this);

    new ResizeObserver(() => this.fit()).observe(this.element);
    session.addEventListener("tick", () => this.show());
    session.addEventListener("look", () => this.later());
    session.addEventListener("choice", () => this.later());
    session.addEventListener("state", () => this.later());
    session.addEventListener("waiting", () => this.ink.setAttribute("aria-busy", session.waiting > 0));
    session.addEventListener("mask", ({ detail }) => this.#came(detail));
    this.show();
  }

  get sides() {
    return this.#sides;
  }

  set sides(on) {
    this.#sides = on;
    this.beside.hidden = !on;
    this.fit();
  }

  /** Enlarge the picture around a point of the window, or around its middle. */
  zoomBy(factor, at = null) {
    const box = this.element.getBoundingClientRect();
    const [x, y] = at ?? [box.left + box.width / 2, box.top + box.height / 2];
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const real = zoom / this.zoom;
    // The point under the pointer keeps its place.
    const middle = [box.left + box.width / 2, box.top + box.height / 2];
    this.pan = [0, 1].map((axis) => {
      const away = [x, y][axis] - middle[axis];
      return away + (this.pan[axis] - away) * real;
    });
    this.zoom = zoom;
    this.#place();
  }

  /** Move the enlarged picture, in pixels of the page. */
  panBy(x, y) {
    this.pan = [this.pan[0] + x, this.pan[1] + y];
    this.#place();
  }

  resetZoom() {
    this.zoom = 1;
    this.#place();
  }

  /** Apply zoom and pan; the picture covers the middle of the stage. */
  #place() {
    const limits = [this.pane.clientWidth, this.pane.clientHeight].map((size) => (size * (this.zoom - 1)) / 2);
    this.pan = this.pan.map((value, axis) => Math.max(-limits[axis], Math.min(limits[axis], value)));
    const transform = this.zoom === 1 ? "" : `translate(${this.pan[0]}px, ${this.pan[1]}px) scale(${this.zoom})`;
    this.pane.style.transform = transform;
    this.beside.style.transform = transform;
  }

  /** Give the canvases the maximum size that fits. */
  fit() {
    const { width, height } = this.#session.state;
    const style = getComputedStyle(this.element);
    const padding = Number.parseFloat(style.paddingLeft);
    const room = [this.element.clientWidth - 2 * padding, this.element.clientHeight - 2 * padding];
    const stacked = this.#sides && room[0] / room[1] < width / height;
    const across = this.#sides && !stacked ? (room[0] - GAP) / 2 : room[0];
    const down = stacked ? (room[1] - GAP) / 2 : room[1];
    if (across <= 0 || down <= 0) return;
    this.element.classList.toggle("stacked", stacked);
    const scale = Math.min(across / width, down / height);
    const [shownWidth, shownHeight] = [Math.round(width * scale), Math.round(height * scale)];
    for (const pane of [this.pane, this.beside]) {
      pane.style.width = `${shownWidth}px`;
      pane.style.height = `${shownHeight}px`;
    }
    const dense = Math.min(window.devicePixelRatio || 1, 2, LONGEST / Math.max(shownWidth, shownHeight));
    for (const canvas of [this.picture, this.overlay, this.ink, this.original]) {
      canvas.width = Math.round(shownWidth * dense);
      canvas.height = Math.round(shownHeight * dense);
    }
    this.density = dense;
    this.#place();
    this.#drawPicture();
    this.paintMasks();
  }

  /** Show the playhead's tick when its image is loaded, image and masks together. */
  async show() {
    const { frames, tick, times } = this.#session;
    frames.prefetch([1, 2, 3, 4, 5, 6].map((step) => tick + step).filter((other) => other < times.length));
    if (!frames.ready(tick)) {
      try {
        await frames.get(tick);
      } catch {
        if (this.#session.connected) fail(`The picture at ${times[tick].toFixed(2)} s could not be loaded.`);
        return;
      }
      // The playhead may have moved meanwhile; in playback a late image is better than none.
      if (tick !== this.#session.tick && !this.#session.playing) return;
      if (this.#session.playing && tick < this.shown) return;
    }
    this.shown = tick;
    this.ink.dataset.tick = tick;
    this.#drawPicture();
    this.paintMasks();
  }

  #drawPicture() {
    const picture = this.#session.frames.ready(this.shown);
    if (!picture) return;
    for (const canvas of this.#sides ? [this.picture, this.original] : [this.picture]) {
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    }
  }

  #came(mask) {
    if (mask.tick !== this.shown) return;
    this.#awaited = mask;
    this.paintMasks();
  }

  /** Paint once before the next animation frame, for any number of requests. */
  later() {
    this.#soon ||= requestAnimationFrame(() => {
      this.#soon = 0;
      this.paintMasks();
    });
  }

  paintMasks() {
    const session = this.#session;
    const { width, height } = this.overlay;
    if (!width || !height || this.shown < 0) return;
    const image = new ImageData(width, height);
    const layers = session.layers(this.shown);
    for (const { object, mask } of layers) {
      if (object.number === this.withheld) continue;
      const shown = session.previews.get(object.number, this.shown) ?? mask;
      paint(image, shown, rgb(object.colour), session.threshold, object.number === session.chosen, session.opacity);
    }
    this.overlay.getContext("2d").putImageData(image, 0, 0);
    this.drawInk();
    const { object, tick } = this.#awaited ?? {};
    if (tick === this.shown && layers.some((layer) => layer.object.number === object)) {
      this.#awaited = null;
      this.ink.dispatchEvent(new CustomEvent("painted", { bubbles: true, detail: { object, tick } }));
    }
  }

  /** Position of a pointer in source pixels, clamped to the frame. */
  place({ clientX, clientY }) {
    const box = this.ink.getBoundingClientRect();
    const { width, height } = this.#session.state;
    const x = ((clientX - box.left) / box.width) * width;
    const y = ((clientY - box.top) / box.height) * height;
    return [Math.min(width - 0.5, Math.max(0, x)), Math.min(height - 0.5, Math.max(0, y))];
  }

  /** Pixels of the canvas for one pixel of the source. */
  get scale() {
    return this.ink.width / this.#session.state.width;
  }
}
