// The timeline: ruler, thumbnails, waveform, and a track for each object. Drag anywhere to scrub.

import { media } from "./api.js";
import { crisp } from "./crisp.js";
import { clock, el } from "./dom.js";
import { frameAddress } from "./frames.js";
import { Pinch } from "./pinch.js";
import { Track } from "./track.js";
import { firstTick } from "./ticks.js";
import { fail } from "./toast.js";
import { drawSpectrogram, drawWave } from "./wave.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300];
const MARK_ROOM = 64; // pixels between two numbers of the ruler
const SMALL_WIDTH = 160;
const CLICK = 4; // pixels that a pointer may move in a click
const PER_STEP = 1.003; // factor for one pixel of a wheel
const SHORTEST = 8; // frames that are shown at least

export class Timeline {
  #session;
  #player;
  #tracks = new Map();
  #dragging = false;
  #pressed = null; // object, place and playhead at the beginning of a press
  #picture = null; // spectrogram

  constructor(session, player) {
    this.#session = session;
    this.#player = player;
    const { times, state } = session;
    this.view = { from: 0, to: 0 }; // shown seconds
    this.end = Math.max(state.duration || 0, times.at(-1) + 1 / state.fps);
    this.view.to = this.end;

    this.ruler = el("canvas", { class: "ruler" });
    this.film = el("div", { class: "film" });
    this.wave = el("canvas", { class: "wave", hidden: !session.peaks.length });
    this.bands = el("canvas", { class: "bands", hidden: true });
    this.spectrum = el(
      "button",
      {
        type: "button",
        class: "sound-head",
        title: "Spectrogram: the bands that the model reads",
        "aria-label": "Sound: spectrogram",
        "aria-pressed": false,
        hidden: !session.peaks.length,
        onclick: () => this.toggleBands(),
      },
      "Sound",
    );
    this.list = el("div", { class: "tracks" });
    this.playhead = el("div", { class: "playhead" });
    this.marked = el("div", { class: "marked", hidden: true });
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
      this.bands,
    );
    this.element = el(
      "section",
      { class: "timeline", "aria-label": "Timeline" },
      el(
        "div",
        { class: "gutter fixed" },
        el("span", {}, "Clip"),
        this.spectrum,
      ),
      this.lanes,
      this.list,
      this.marked,
      this.playhead,
    );

    for (const part of [this.lanes, this.list]) {
      part.addEventListener("pointerdown", (event) => this.#down(event));
      part.addEventListener("pointermove", (event) => this.#dragging && this.#scrub(event));
      part.addEventListener("pointerup", (event) => this.#up(event));
      part.addEventListener("pointercancel", () => (this.#dragging = false));
    }
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new Pinch(this.element, {
      panBy: (x) => this.#panBy(-x),
      zoomBy: (factor, [x]) => this.zoomBy(factor, this.#secondsAt(x)),
      cancel: () => this.#abandon(),
    });
    session.addEventListener("marks", () => this.#mark());
    new ResizeObserver(() => this.#layout()).observe(this.lanes);
    window.addEventListener("themechange", () => this.#layout(), { signal: session.ended });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#layout(), { signal: session.ended });
    player.addEventListener("time", () => this.#move());
    session.addEventListener("tick", () => this.#follow());
    session.addEventListener("state", () => this.#update());
    session.addEventListener("choice", () => this.#update());
    this.#update();
    this.#move();
  }

  /** Show or hide the spectrogram, which the server computes on the first request. */
  async toggleBands() {
    this.bands.hidden = !this.bands.hidden;
    this.spectrum.setAttribute("aria-pressed", !this.bands.hidden);
    if (this.#picture) {
      this.#layout();
      return;
    }
    const picture = new Image();
    picture.src = media(`/api/sessions/${this.#session.id}/spectrogram.png`);
    try {
      await picture.decode();
      this.#picture = picture;
      this.#layout();
    } catch {
      fail("The spectrogram could not be computed.");
    }
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest(".gutter")) return;
    this.lanes.focus({ preventScroll: true });
    event.currentTarget.setPointerCapture(event.pointerId);
    this.#dragging = true;
    const lane = event.target.closest(".track");
    if (lane) this.#session.choose(Number(lane.dataset.object));
    this.#pressed = { object: lane && Number(lane.dataset.object), x: event.clientX, tick: this.#session.tick };
    this.#scrub(event);
    event.preventDefault();
  }

  /** A click on an interval of a track jumps to its beginning. */
  #up(event) {
    this.#dragging = false;
    const pressed = this.#pressed;
    this.#pressed = null;
    if (!pressed || pressed.object === null || Math.abs(event.clientX - pressed.x) > CLICK) return;
    const seconds = this.#secondsAt(event.clientX);
    const object = this.#session.object(pressed.object);
    const interval = object?.intervals.find(([start, end]) => start <= seconds && seconds < end);
    if (interval) this.#session.seek(firstTick(this.#session, interval[0]));
  }

  /** A second finger makes the press of the first one a pinch, which leaves the playhead in its place. */
  #abandon() {
    if (this.#pressed) this.#session.seek(this.#pressed.tick);
    this.#dragging = false;
    this.#pressed = null;
  }

  /** The time under a point of the window. */
  #secondsAt(x) {
    const box = this.lanes.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (x - box.left) / box.width));
    return this.view.from + part * (this.view.to - this.view.from);
  }

  #scrub(event) {
    const { times } = this.#session;
    const seconds = this.#secondsAt(event.clientX);
    let tick = this.#session.tickAt(seconds);
    if (tick + 1 < times.length && times[tick + 1] - seconds < seconds - times[tick]) tick += 1;
    this.#session.seek(tick);
  }

  /** Enlarge the timeline around a time; without one, around the playhead or the middle of the shown part. */
  zoomBy(factor, seconds = null) {
    const { from, to } = this.view;
    const playhead = this.#session.times[this.#session.tick];
    const at = seconds ?? (from <= playhead && playhead <= to ? playhead : (from + to) / 2);
    const shortest = Math.min(this.end, SHORTEST / this.#session.state.fps);
    const length = Math.min(this.end, Math.max(shortest, (to - from) / factor));
    this.#look(at - ((at - from) / (to - from)) * length, length);
  }

  /** Show the whole clip. */
  fit() {
    this.#look(0, this.end);
  }

  /** Zoom with Ctrl, move with Shift or sideways. */
  #wheel(event) {
    const zooms = event.ctrlKey || event.metaKey;
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (!zooms && !event.shiftKey && Math.abs(sideways) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    if (zooms) this.zoomBy(PER_STEP ** -event.deltaY, this.#secondsAt(event.clientX));
    else this.#panBy(sideways);
  }

  /** Move the shown part by pixels. */
  #panBy(pixels) {
    const length = this.view.to - this.view.from;
    this.#look(this.view.from + (pixels / this.lanes.clientWidth) * length, length);
  }

  /** Show the playhead after it left the shown part. */
  #follow() {
    const { from, to } = this.view;
    const at = this.#session.times[this.#session.tick];
    if (this.#dragging || (from <= at && at <= to)) return;
    const before = this.#player.playing ? Number(this.#player.rate < 0) : 0.5; // share of the new part
    this.#look(at - before * (to - from), to - from);
  }

  #look(from, length) {
    this.view.from = Math.max(0, Math.min(this.end - length, from));
    this.view.to = this.view.from + length;
    this.#layout();
    this.#move();
    this.#mark();
  }

  /** Part of the shown time at a second. */
  #part(seconds) {
    return (seconds - this.view.from) / (this.view.to - this.view.from);
  }

  #mark() {
    const { marked, range, times } = this.#session;
    this.marked.hidden = !marked;
    if (!marked) return;
    const end = range[1] + 1 < times.length ? times[range[1] + 1] : this.end;
    const [from, to] = [times[range[0]], end].map((time) => Math.min(1, Math.max(0, this.#part(time))));
    this.marked.style.setProperty("--from", from);
    this.marked.style.setProperty("--to", to);
  }

  #move() {
    const part = this.#part(this.#player.time);
    this.element.style.setProperty("--at", Math.min(1, Math.max(0, part)));
    this.playhead.hidden = part < -1e-6 || part > 1 + 1e-6;
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
      const track = this.#tracks.get(object.number) ?? new Track(this.#session, object.number, this.view);
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
    if (this.#session.peaks.length) drawWave(this.wave, this.#session.peaks, this.view.from / this.end, this.view.to / this.end);
    if (this.#picture && !this.bands.hidden) {
      drawSpectrogram(this.bands, this.#picture, this.view.from / this.end, this.view.to / this.end);
    }
    for (const track of this.#tracks.values()) track.update();
  }

  #drawRuler(width) {
    const context = crisp(this.ruler);
    const height = this.ruler.clientHeight;
    const style = getComputedStyle(this.ruler);
    const { from, to } = this.view;
    const perSecond = width / (to - from);
    const step = STEPS.find((seconds) => seconds * perSecond >= MARK_ROOM) ?? STEPS.at(-1);
    context.font = `500 10.5px ${style.fontFamily}`;
    context.textBaseline = "middle";
    for (let mark = Math.floor(from / step); mark * step < to + 1e-6; mark += 1) {
      const x = Math.round((mark * step - from) * perSecond) + 0.5;
      context.fillStyle = style.borderTopColor;
      context.fillRect(x - 0.5, height - 6, 1, 6);
      for (let part = 1; part < 5; part += 1) {
        context.fillRect(Math.round(x + (part * step * perSecond) / 5), height - 3, 1, 3);
      }
      context.fillStyle = style.color;
      const label = clock(mark * step, step < 1 ? 1 : 0);
      if (x + context.measureText(label).width + 4 < width) context.fillText(label, x + 7, height / 2 + 1);
    }
  }

  #fillFilm(width) {
    const { id, state, times } = this.#session;
    const { from, to } = this.view;
    const height = this.film.clientHeight;
    const each = Math.max(24, Math.round((height * state.width) / state.height));
    const count = Math.ceil(width / each);
    const ticks = Array.from({ length: count }, (_, at) => {
      const middle = from + ((at + 0.5) * each * (to - from)) / width;
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
