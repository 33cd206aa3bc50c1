// Pointer and keyboard tools on the image: click, drag a box, paint; and their drawings.

import { Brush } from "./brush.js";
import { el, icon } from "./dom.js";
import { ACCENT, drawBox, drawCrosshair, drawOutline, drawPoint, twice } from "./ink.js";

const DRAG = 5; // pixels of the screen a pointer may move in a click
const STEP = 0.02; // of the width that the crosshair moves
const REACH = 12; // pixels of the screen around the first corner of a polygon that close it

export const TOOLS = [
  { name: "add", label: "Add", key: "A", tip: "Click on what belongs to the object; drag for a box" },
  { name: "remove", label: "Remove", key: "R", tip: "Click on what does not belong to it; or Alt-click, right click" },
  { name: "box", label: "Box", key: "B", tip: "Drag a box around the object" },
  { name: "brush", label: "Brush", key: "M", tip: "Paint the mask; Alt or right button erases" },
  { name: "eraser", label: "Eraser", key: "W", tip: "Erase from the mask" },
  { name: "lasso", label: "Lasso", key: "D", tip: "Draw around what belongs to the mask; Alt or right button removes it" },
  {
    name: "polygon",
    label: "Polygon",
    key: "U",
    tip: "Click the corners of what belongs to the mask; the first corner or Enter closes; Alt removes it",
  },
];

export class Tools {
  tool = "add";
  diameter = 0.06; // of the brush, as a part of the frame's width
  #session;
  #stage;
  #brush = new Brush();
  #drag = null;
  #hover = null;
  #crosshair = null;
  #corner = null;
  #pending = [];
  #corners = []; // of the polygon that is drawn
  #painted = false; // a painted mask is on its way

  constructor(session, stage) {
    this.#session = session;
    this.#stage = stage;
    stage.drawInk = () => this.draw();
    const { ink } = stage;
    ink.setAttribute("aria-label", "Picture: click to add, Alt-click to remove; Shift and arrows move a crosshair");
    ink.addEventListener("contextmenu", (event) => event.preventDefault());
    ink.addEventListener("pointerdown", (event) => this.#down(event));
    ink.addEventListener("pointermove", (event) => this.#move(event));
    ink.addEventListener("pointerup", (event) => this.#up(event));
    ink.addEventListener("pointercancel", () => this.#forget());
    ink.addEventListener("abandon", () => this.#abandon());
    ink.addEventListener("pointerleave", () => this.#drag || this.#leave());
    ink.addEventListener("keydown", (event) => this.#key(event));
    ink.addEventListener("blur", () => this.#leave());
    session.addEventListener("tick", () => {
      if (this.#painted) this.#unveil();
      this.#pending = [];
      this.#corner = null;
      this.#corners = [];
    });
    ink.addEventListener("dblclick", (event) => this.tool === "polygon" && this.#closePolygon(event.altKey));
    this.element = this.#rail();
    this.choose("add");
  }

  #rail() {
    this.buttons = TOOLS.map(({ name, label, key, tip }) =>
      el(
        "button",
        {
          type: "button",
          class: "tool",
          title: `${tip} (${key})`,
          "aria-label": label,
          onclick: () => this.choose(name),
        },
        icon(name),
        el("span", {}, label),
      ),
    );
    this.width = el("input", {
      type: "range",
      class: "upright",
      min: 0.5,
      max: 25,
      step: 0.5,
      title: "Size of the brush ([ and ])",
      "aria-label": "Size of the brush, per cent of the width",
      oninput: () => {
        this.diameter = this.width.valueAsNumber / 100;
        this.draw();
      },
    });
    this.sizing = el("label", { class: "sizing" }, this.width);
    return el("div", { class: "rail", role: "toolbar", "aria-label": "Tools" }, this.buttons, this.sizing);
  }

  choose(name) {
    this.tool = name;
    this.#forget();
    for (const [at, button] of this.buttons.entries()) button.setAttribute("aria-pressed", TOOLS[at].name === name);
    this.sizing.hidden = !this.#paints;
    this.width.value = this.diameter * 100;
    this.#stage.ink.dataset.tool = name;
    this.draw();
  }

  resize(factor) {
    this.diameter = Math.min(0.25, Math.max(0.005, this.diameter * factor));
    this.width.value = this.diameter * 100;
    this.draw();
  }

  // ---- pointer

  #down(event) {
    if (event.button !== 0 && event.button !== 2) return;
    event.preventDefault();
    const { ink } = this.#stage;
    ink.focus({ preventScroll: true });
    ink.setPointerCapture(event.pointerId);
    this.#crosshair = null;
    const from = this.#stage.place(event);
    const takes = event.altKey || event.button === 2 || event.ctrlKey;
    this.#drag = { from, to: from, screen: [event.clientX, event.clientY], far: false, takes };
    if (this.#paints) this.#startStroke(from, takes || this.tool === "eraser");
    if (this.tool === "lasso") this.#drag.outline = [from];
    this.draw();
  }

  get #paints() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  #move(event) {
    this.#hover = this.#stage.place(event);
    if (this.#drag) {
      this.#drag.to = this.#hover;
      const [x, y] = this.#drag.screen;
      this.#drag.far ||= Math.hypot(event.clientX - x, event.clientY - y) > DRAG;
      if (this.#paints) this.#brush.stroke(this.#hover, this.#diameter);
      this.#drag.outline?.push(this.#hover);
    }
    this.draw();
  }

  #up(event) {
    const drag = this.#drag;
    if (!drag) return;
    drag.to = this.#stage.place(event);
    this.#drag = null;
    if (this.#paints) this.#endStroke();
    else if (drag.outline) this.#fill(drag.outline, drag.takes);
    else if (this.tool === "polygon") this.#addCorner(drag);
    else if (drag.far && !drag.takes && this.tool !== "remove") this.#box(drag.from, drag.to);
    else if (this.tool !== "box") this.#click(drag.to, drag.takes || this.tool === "remove");
    this.draw();
  }

  /** End a press without its action. */
  #abandon() {
    const stroke = this.#drag && this.#paints;
    this.#drag = null;
    if (stroke) this.#unveil();
    this.draw();
  }

  #forget() {
    this.#abandon();
    this.#corner = null;
    this.#corners = [];
    this.draw();
  }

  #leave() {
    this.#abandon();
    this.#corner = null;
    this.#hover = null;
    this.#crosshair = null;
    this.draw();
  }

  // ---- prompts

  async #click([x, y], takes) {
    const label = takes ? 0 : 1;
    const pending = { point: [x, y, label], object: this.#session.target([x, y], takes) };
    this.#pending.push(pending);
    await this.#timed(() => this.#say({ do: "points", points: [[x, y, label]] }));
    this.#pending = this.#pending.filter((other) => other !== pending);
    this.draw();
  }

  #box([ax, ay], [bx, by]) {
    const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
    return this.#timed(() => this.#say({ do: "box", box }));
  }

  get #diameter() {
    return this.diameter * this.#session.state.width;
  }

  #startStroke(from, erase, dot = true) {
    const session = this.#session;
    const mask = session.masks.get(session.target(from), this.#stage.shown);
    this.#brush.begin(session.state, mask, session.threshold, erase);
    if (dot) this.#brush.stroke(from, this.#diameter);
    this.#stage.withheld = session.target();
    this.#stage.paintMasks();
  }

  /** Add the inside of an outline to the mask, or remove it. */
  #fill(outline, takes) {
    if (outline.length < 3) return;
    this.#startStroke(outline[0], takes, false);
    this.#brush.fill(outline);
    this.#endStroke();
  }

  /** Add a corner to the polygon, or close it by a press on its first corner. */
  #addCorner({ to, takes }) {
    const { scale, density, zoom } = this.#stage;
    const [first] = this.#corners;
    const away = this.#corners.length > 2 ? Math.hypot(to[0] - first[0], to[1] - first[1]) : Infinity;
    if (away * scale * zoom < REACH * density) this.#closePolygon(takes);
    else this.#corners.push(to);
  }

  #closePolygon(takes) {
    const corners = this.#corners;
    this.#corners = [];
    this.#fill(corners, takes);
    this.draw();
  }

  async #endStroke() {
    const tick = this.#stage.shown;
    const png = await this.#brush.png();
    this.#painted = true;
    this.#stage.ink.addEventListener("painted", () => this.#unveil(), { once: true });
    const went = await this.#timed(() => this.#session.prompt({ do: "brush", png, tick }));
    if (!went) this.#unveil();
  }

  /** Display the mask again instead of the painted one. */
  #unveil() {
    this.#painted = false;
    this.#stage.withheld = null;
    this.#stage.paintMasks();
  }

  /** Send a prompt for the displayed frame, which may differ from the playhead's. */
  #say(message) {
    return this.#session.prompt({ tick: this.#stage.shown, ...message });
  }

  /** Measure from the click to the painted mask, as a performance entry. */
  async #timed(ask) {
    const start = performance.now();
    const { ink } = this.#stage;
    const painted = () => performance.measure("click to paint", { start, end: performance.now() });
    ink.addEventListener("painted", painted, { once: true });
    const went = await ask();
    if (!went) ink.removeEventListener("painted", painted);
    return went;
  }

  // ---- keys

  #key(event) {
    const { width, height } = this.#session.state;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.shiftKey && event.key in ways) {
      const step = event.altKey ? 1 : width * STEP;
      const [x, y] = this.#crosshair ?? this.#hover ?? [width / 2, height / 2];
      const [right, down] = ways[event.key];
      this.#crosshair = [
        Math.min(width - 1, Math.max(0, x + right * step)),
        Math.min(height - 1, Math.max(0, y + down * step)),
      ];
    } else if (event.key === "Enter" && this.#corners.length > 2) this.#closePolygon(event.altKey);
    else if (event.key === "Escape" && this.#corners.length) this.#forget();
    else if (event.key === "Enter" && this.#crosshair) this.#act(event.altKey || event.shiftKey);
    else if (event.key === "Escape" && (this.#drag || this.#corner || this.#crosshair)) this.#leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.draw();
  }

  #act(takes) {
    const here = this.#crosshair;
    if (this.#paints) {
      this.#startStroke(here, takes || this.tool === "eraser");
      this.#endStroke();
    } else if (this.tool === "polygon" || this.tool === "lasso") this.#corners.push(here);
    else if (this.tool === "box" && this.#corner) {
      this.#box(this.#corner, here);
      this.#corner = null;
    } else if (this.tool === "box") this.#corner = here;
    else this.#click(here, takes || this.tool === "remove");
  }

  // ---- drawing

  draw() {
    const { ink, scale, density } = this.#stage;
    if (!ink.width) return;
    const context = ink.getContext("2d");
    context.clearRect(0, 0, ink.width, ink.height);
    const session = this.#session;
    for (const prompt of session.promptsHidden ? [] : session.state.prompts) {
      const object = session.object(prompt.object);
      if (prompt.tick !== this.#stage.shown || !object || object.hidden) continue;
      if (prompt.box) drawBox(context, prompt.box, object.colour, scale, density, [6 * density, 4 * density]);
      for (const point of prompt.points ?? []) drawPoint(context, point, object.colour, scale, density);
    }
    for (const { point, object } of this.#pending) {
      drawPoint(context, point, session.object(object)?.colour ?? "#888888", scale, density);
    }
    const colour = session.object(session.chosen)?.colour ?? "#ff40a0";
    if (this.#paints || this.#painted) this.#drawBrush(context, colour);
    const outline = this.#drag?.outline ?? (this.#corners.length ? [...this.#corners, this.#hover ?? this.#corners[0]] : null);
    if (outline) drawOutline(context, outline, colour, scale, density);
    else if (!this.#paints && this.tool !== "polygon" && this.#drag?.far && !this.#drag.takes && this.tool !== "remove") {
      drawBox(context, [...this.#drag.from, ...this.#drag.to], colour, scale, density, []);
    }
    if (this.#corner && this.#crosshair) {
      drawBox(context, [...this.#corner, ...this.#crosshair], colour, scale, density, []);
    }
    if (this.#crosshair) drawCrosshair(context, this.#crosshair, scale, density);
  }

  #drawBrush(context, colour) {
    if (this.#drag || this.#painted) this.#brush.draw(context, colour);
    const place = this.#crosshair ?? this.#hover;
    if (!place || !this.#paints) return;
    const { scale, density } = this.#stage;
    context.beginPath();
    context.arc(place[0] * scale, place[1] * scale, (this.#diameter * scale) / 2, 0, 2 * Math.PI);
    twice(context, ACCENT, 1.5 * density);
  }
}
