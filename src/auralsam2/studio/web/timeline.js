// The timeline: ruler, thumbnails, waveform, and a track for each object. Drag anywhere to scrub.

import { crisp } from "./crisp.js";
import { clock, el } from "./dom.js";
import { frameAddress } from "./frames.js";
import { Track } from "./track.js";
import { drawWave } from "./wave.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];
const MARK_ROOM = 64; // pixels between two numbers of the ruler
const SMALL_WIDTH = 160;

export class Timeline {
  #session;
  #player;
  #tracks = new Map();
  #dragging = false;

  constructor(session, player) {
    this.#session = session;
    this.#player = player;
    const { times, state } = session;
    this.end = Math.max(state.duration || 0, times.at(-1) + 1 / state.fps);

    this.ruler = el("canvas", { class: "ruler" });
    this.film = el("div", { class: "film" });
    this.wave = el("canvas", { class: "wave", hidden: !session.peaks.length });
    this.list = el("div", { class: "tracks" });
    this.playhead = el("div", { class: "playhead" });
    this.lanes = el(
      "div",
      {
        class: "lanes",
        tabIndex: 0,
        role: "slider",
        "aria-label": "Position in the clip",
        "aria-valuemin": 0,
        "aria-valuemax": times.length - 1,
      },
      this.ruler,
      this.film,
      this.wave,
    );
    this.element = el(
      "section",
      { class: "timeline", "aria-label": "Timeline" },
      el("div", { class: "gutter fixed" }, el("span", {}, "Clip"), el("span", {}, session.peaks.length ? "Sound" : "")),
      this.lanes,
      this.list,
      this.playhead,
    );

    for (const part of [this.lanes, this.list]) {
      part.addEventListener("pointerdown", (event) => this.#down(event));
      part.addEventListener("pointermove", (event) => this.#dragging && this.#scrub(event));
      part.addEventListener("pointerup", () => (this.#dragging = false));
      part.addEventListener("pointercancel", () => (this.#dragging = false));
    }
    new ResizeObserver(() => this.#layout()).observe(this.lanes);
    window.addEventListener("themechange", () => this.#layout(), { signal: session.ended });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#layout(), { signal: session.ended });
    player.addEventListener("time", () => this.#move());
    session.addEventListener("state", () => this.#update());
    session.addEventListener("choice", () => this.#update());
    this.#update();
    this.#move();
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest(".gutter")) return;
    this.lanes.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    this.#dragging = true;
    const lane = event.target.closest(".track");
    if (lane) this.#session.choose(Number(lane.dataset.object));
    this.#scrub(event);
    event.preventDefault();
  }

  #scrub(event) {
    const box = this.lanes.getBoundingClientRect();
    const { times } = this.#session;
    const seconds = ((event.clientX - box.left) / box.width) * this.end;
    let tick = this.#session.tickAt(seconds);
    if (tick + 1 < times.length && times[tick + 1] - seconds < seconds - times[tick]) tick += 1;
    this.#session.seek(tick);
  }

  #move() {
    const part = Math.min(1, this.#player.time / this.end);
    this.element.style.setProperty("--at", part);
    const { tick, times } = this.#session;
    this.lanes.setAttribute("aria-valuenow", tick);
    this.lanes.setAttribute("aria-valuetext", `${clock(times[tick])} of ${clock(this.end)}`);
  }

  #update() {
    const objects = this.#session.state.objects;
    for (const [number, track] of this.#tracks) {
      if (objects.some((object) => object.number === number)) continue;
      track.element.remove();
      this.#tracks.delete(number);
    }
    for (const object of objects) {
      const track = this.#tracks.get(object.number) ?? new Track(this.#session, object.number, this.end);
      this.#tracks.set(object.number, track);
      track.update();
      this.list.append(track.element);
    }
      }

  #layout() {
    const width = this.lanes.clientWidth;
    if (!width) return;
    this.#drawRuler(width);
    this.#fillFilm(width);
    if (this.#session.peaks.length) drawWave(this.wave, this.#session.peaks);
    for (const track of this.#tracks.values()) track.update();
  }

  #drawRuler(width) {
    const context = crisp(this.ruler);
    const height = this.ruler.clientHeight;
    const style = getComputedStyle(this.ruler);
    const step = STEPS.find((seconds) => (seconds / this.end) * width >= MARK_ROOM) ?? STEPS.at(-1);
    context.font = `500 10.5px ${style.fontFamily}`;
    context.textBaseline = "middle";
    for (let mark = 0; mark * step < this.end + 1e-6; mark += 1) {
      const x = Math.round(((mark * step) / this.end) * width) + 0.5;
      context.fillStyle = style.borderTopColor;
      context.fillRect(x - 0.5, height - 6, 1, 6);
      for (let part = 1; part < 5; part += 1) {
        context.fillRect(Math.round(x + (part * step * width) / this.end / 5), height - 3, 1, 3);
      }
      context.fillStyle = style.color;
      const label = clock(mark * step, step < 1 ? 1 : 0);
      if (x + context.measureText(label).width + 4 < width) context.fillText(label, x + 7, height / 2 + 1);
    }
  }

  #fillFilm(width) {
    const { id, state, times } = this.#session;
    const height = this.film.clientHeight;
    const each = Math.max(24, Math.round((height * state.width) / state.height));
    const count = Math.ceil(width / each);
    const ticks = Array.from({ length: count }, (_, at) => {
      const middle = ((at + 0.5) * each * this.end) / width;
      return this.#session.tickAt(Math.min(middle, times.at(-1)));
    });
    if (String(ticks) === this.film.dataset.ticks) return;
    this.film.dataset.ticks = String(ticks);
    this.film.replaceChildren(
      ...ticks.map((tick) => {
        const src = frameAddress(id, tick, SMALL_WIDTH);
        const picture = el("img", { src, alt: "", draggable: false, decoding: "async" });
        picture.style.width = `${each}px`;
        return picture;
      }),
    );
  }
}
