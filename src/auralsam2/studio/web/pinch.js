// Two fingers that enlarge and move, or the middle mouse button, which moves.

export class Pinch {
  #view;
  #fingers = new Map();
  #pinching = false;

  /**
   * @param element receives the events before its own listeners, which act on one finger or button
   * @param view {panBy(x, y), zoomBy(factor, [x, y]), cancel()}: in pixels of the window; `cancel` undoes the action that
   *   the first finger began
   */
  constructor(element, view) {
    this.#view = view;
    element.addEventListener("pointerdown", (event) => this.#down(event), true);
    element.addEventListener("pointermove", (event) => this.#move(event), true);
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, (event) => this.#up(event), true);
  }

  #down(event) {
    if (event.pointerType !== "touch" && event.button !== 1) return;
    this.#fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (event.button === 1) event.preventDefault();
    if (event.button !== 1 && this.#fingers.size < 2) return;
    if (!this.#pinching && event.pointerType === "touch") this.#view.cancel();
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
    this.#view.panBy((now[0] - before[0]) * share, (now[1] - before[1]) * share);
    if (!other) return;
    const away = (place) => Math.hypot(place[0] - other[1][0], place[1] - other[1][1]);
    const middle = [(now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2];
    if (away(before) > 0) this.#view.zoomBy(away(now) / away(before), middle);
  }

  #up(event) {
    if (!this.#fingers.delete(event.pointerId) || !this.#pinching) return;
    event.stopPropagation();
    this.#pinching = this.#fingers.size > 0;
  }
}
