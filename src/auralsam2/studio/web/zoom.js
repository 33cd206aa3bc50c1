// Zoom and pan of the picture: wheel, pinch with two fingers, middle button.

import { Pinch } from "./pinch.js";

const PER_STEP = 1.0018; // factor for one pixel of a wheel

export class Zoom {
  #stage;

  constructor(stage) {
    this.#stage = stage;
    stage.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new Pinch(stage.element, {
      panBy: (x, y) => stage.panBy(x, y),
      zoomBy: (factor, place) => stage.zoomBy(factor, place),
      cancel: () => stage.ink.dispatchEvent(new Event("abandon")),
    });
  }

  #wheel(event) {
    event.preventDefault();
    if (event.shiftKey) this.#stage.panBy(-(event.deltaX || event.deltaY), 0);
    else this.#stage.zoomBy(PER_STEP ** -event.deltaY, [event.clientX, event.clientY]);
  }
}
