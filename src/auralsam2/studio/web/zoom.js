// Zoom and pan of the picture: wheel, pinch with two fingers, middle button.

const PER_STEP = 1.0018; // factor for one pixel of a wheel

export class Zoom {
  #stage;
  #fingers = new Map();
  #pinching = false;

  constructor(stage) {
    this.#stage = stage;
    const { element } = stage;
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    // Before the tools, which draw with one finger or button.
    element.addEventListener("pointerdown", (event) => this.#down(event), true);
    element.addEventListener("pointermove", (event) => this.#move(event), true);
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (event) => this.#up(event), true);
  }

  #wheel(event) {
    event.preventDefault();
    if (event.shiftKey) this.#stage.panBy(-(event.deltaX || event.deltaY), 0);
    else this.#stage.zoomBy(PER_STEP ** -event.deltaY, [event.clientX, event.clientY]);
  }

  #down(event) {
    if (event.pointerType !== "touch" && event.button !== 1) return;
    this.#fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (event.button === 1) event.preventDefault();
    if (event.button !== 1 && this.#fingers.size < 2) return;
    if (!this.#pinching && event.pointerType === "touch") {
      // The first finger drew nothing.
      this.#stage.ink.dispatchEvent(new PointerEvent("pointercancel", { pointerId: event.pointerId }));
    }
    this.#pinching = true;
    event.stopPropagation();
  }

  #move(event) {
    const before = this.#fingers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    this.#fingers.set(event.pointerId, now);
    if (!this.#pinching) return;
    event.stopPropagation();
    const [other] = [...this.#fingers].filter(([id]) => id !== event.pointerId);
    const share = other ? 0.5 : 1;
    this.#stage.panBy((now[0] - before[0]) * share, (now[1] - before[1]) * share);
    if (!other) return;
    const away = (place) => Math.hypot(place[0] - other[1][0], place[1] - other[1][1]);
    const middle = [(now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2];
    if (away(before) > 0) this.#stage.zoomBy(away(now) / away(before), middle);
  }

  #up(event) {
    if (!this.#fingers.delete(event.pointerId) || !this.#pinching) return;
    event.stopPropagation();
    this.#pinching = this.#fingers.size > 0;
  }
}
