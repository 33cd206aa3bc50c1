// One object on the timeline: where it has masks, where it sounds, and its prompts.

import { crisp } from "./crisp.js";
import { el } from "./dom.js";

export class Track {
  #session;
  #number;
  #view;

  /** @param view {from, to}: shown seconds */
  constructor(session, number, view) {
    this.#session = session;
    this.#number = number;
    this.#view = view;
    this.dot = el("span", { class: "dot" });
    this.name = el("span", { class: "name" });
    const choose = () => session.choose(number);
    this.head = el("button", { type: "button", class: "gutter", onclick: choose }, this.dot, this.name);
    this.lane = el("canvas", { class: "lane" });
    this.element = el("div", { class: "track", dataset: { object: number } }, this.head, this.lane);
    new ResizeObserver(() => this.#draw()).observe(this.lane);
  }

  update() {
    const object = this.#session.object(this.#number);
    if (!object) return;
    this.dot.style.background = object.colour;
    this.name.textContent = object.name;
    this.element.classList.toggle("chosen", this.#session.chosen === this.#number);
    this.element.classList.toggle("off", object.hidden);
    this.#draw();
  }

  #draw() {
    const object = this.#session.object(this.#number);
    if (!object || !this.lane.clientWidth) return;
    const context = crisp(this.lane);
    const [width, height] = [this.lane.clientWidth, this.lane.clientHeight];
    const { from: first, to: last } = this.#view;
    const x = (seconds) => ((seconds - first) / (last - first)) * width;
    context.fillStyle = object.colour;
    context.globalAlpha = 0.28;
    for (const [from, to] of this.#covered(object)) bar(context, x(from), x(to), height / 2 - 3, 6);
    context.globalAlpha = 1;
    for (const [from, to] of object.intervals) bar(context, x(from), x(to), height / 2 - 6, 12);
    const said = this.#session.state.prompts.filter((prompt) => prompt.object === this.#number);
    const inside = said.filter(({ tick }) => first <= this.#session.times[tick] && this.#session.times[tick] <= last);
    for (const { tick } of inside) diamond(context, x(this.#session.times[tick]), height / 2, object.colour);
  }

  /** Start and end of its masks, in seconds. */
  #covered({ masks }) {
    const { times, state } = this.#session;
    const until = (tick) => times[tick + 1] ?? times[tick] + 1 / state.fps;
    return (masks ?? []).map(([first, last]) => [times[first], until(last)]);
  }
}

function bar(context, from, to, y, height) {
  context.beginPath();
  context.roundRect(from, y, Math.max(2, to - from), height, Math.min(3, height / 2));
  context.fill();
}

function diamond(context, x, y, colour) {
  const half = 5;
  x = Math.min(context.canvas.clientWidth - half - 1, Math.max(half + 1, x));
  context.beginPath();
  context.moveTo(x, y - half);
  context.lineTo(x + half, y);
  context.lineTo(x, y + half);
  context.lineTo(x - half, y);
  context.closePath();
  context.fillStyle = "#ffffff";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "rgb(0 0 0 / 0.75)";
  context.stroke();
  context.fillStyle = colour;
  context.fillRect(x - 1, y - 1, 2, 2);
}
