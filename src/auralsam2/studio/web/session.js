// An open session: state of the server, playhead, and commands.

import { get, send } from "./api.js";
import { Frames } from "./frames.js";
import { Live } from "./live.js";
import { Masks } from "./masks.js";
import { fail, note } from "./toast.js";

export const SOUNDING = 0;
export const SCORE_OFF = -20;

/**
 * Events: `state`, `tick`, `choice`, `look` (sliders), `mask` (detail: the mask), `busy`, `export` (detail: news),
 * `waiting` (commands without a reply), `link` (connected or not), `gone` (deleted elsewhere).
 */
export class Session extends EventTarget {
  tick = 0;
  chosen = null;
  draft = null;
  threshold = 0;
  score = SCORE_OFF;
  busy = null;
  connected = false;
  playing = false;
  waiting = 0; // questions without an answer
  #stale = new Set();
  #end = new AbortController();
  #announced = "";
  #asksAgain = false;

  /** Open a session by its id. */
  static async open(id) {
    return new Session(await get(`/api/sessions/${id}`));
  }

  constructor(full) {
    super();
    this.id = full.id;
    this.times = full.times;
    this.peaks = full.sound?.peaks ?? [];
    this.frames = new Frames(full.id);
    this.masks = new Masks(full.id);
    this.masks.addEventListener("mask", ({ detail }) => this.#tell("mask", detail));
    this.threshold = full.threshold ?? 0;
    this.score = full.score ?? SCORE_OFF;
    this.#take(full);
    this.live = new Live(full.id);
    this.live.addEventListener("open", () => this.#linked());
    this.live.addEventListener("lost", () => this.#unlinked());
    this.live.addEventListener("gone", () => this.#tell("gone"));
    this.live.addEventListener("news", ({ detail }) => this.#news(detail));
    this.live.addEventListener("mask", ({ detail }) => this.masks.take(detail, this.tick).catch(fail));
  }

  /** Aborted when the session is closed, for listeners on objects with a longer lifetime. */
  get ended() {
    return this.#end.signal;
  }

  close() {
    this.#end.abort();
    this.live.close();
    this.masks.clear();
  }

  #tell(what, detail = null) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }

  // ---- messages of the server

  #take(state) {
    const before = this.state;
    this.state = { ...before, ...state };
    this.busy = state.busy === undefined ? this.busy : state.busy;
    if (this.draft !== null && this.object(this.draft)) this.draft = null;
    if (this.chosen !== null && this.chosen !== this.draft && !this.object(this.chosen)) this.chosen = null;
    this.masks.keep((object, tick) => this.covered(object, tick));
    if (before) this.#lookAtChanged(before);
  }

  async #linked() {
    const again = this.#announced === "lost";
    this.connected = true;
    this.#announced = "open";
    this.#tell("link");
    if (!again) return;
    try {
      const full = await get(`/api/sessions/${this.id}`);
      this.busy = full.busy ?? null;
      this.masks.clear();
      this.#take(full);
      this.#changed();
      note("Connected again.");
    } catch (error) {
      fail(error);
    }
  }

  async #unlinked() {
    const first = this.connected || this.#announced === "";
    this.connected = false;
    this.busy = null;
    this.#announced = "lost";
    if (first) this.#tell("busy");
    this.#tell("link");
  }

  #news(message) {
    if (message.is === "state") {
      this.#take(message);
      this.#changed();
    } else if (message.is === "gone") {
      this.masks.drop(message.object, message.tick);
      this.#tell("look");
    } else if (message.is === "note") note(message.text);
    else if (message.what === "export" || message.kind) this.#tell("export", message);
    else if (message.is === "progress") {
      this.busy = { what: "run", ...message };
      this.#tell("busy");
    } else if (message.is === "done" || message.is === "cancelled") {
      this.busy = null;
      if (message.is === "done") this.#stale.clear();
      if (message.error) fail(message.error);
      this.#tell("busy");
      this.#changed();
    }
  }

  #changed() {
    this.#tell("state");
    this.want();
  }

  /** Objects with changed audio or text have new masks, which the server sends on request. */
  #lookAtChanged(before) {
    if (!this.#asksAgain) return;
    this.#asksAgain = false;
    for (const { number, hears, text } of this.state.objects) {
      const known = before.objects.find((other) => other.number === number);
      if (known && known.hears === hears && known.text === text) continue;
      this.live.ask({ do: "look", object: number, tick: this.tick }).catch(fail);
    }
  }

  // ---- visible state

  /** Objects by number, with a new one without prompts at the end. */
  get objects() {
    const objects = this.state.objects;
    if (this.draft === null) return objects;
    return [...objects, { number: this.draft, name: `Object ${this.draft}`, colour: null, draft: true, intervals: [] }];
  }

  object(number) {
    return this.state.objects.find((object) => object.number === number) ?? null;
  }

  /** Whether the server has a mask of an object on a tick. */
  covered(number, tick) {
    const object = this.object(number);
    if (!object) return false;
    if (!object.masks) return object.done > 0;
    return object.masks.some(([first, last]) => first <= tick && tick <= last);
  }

  stale(object) {
    return object.stale ?? this.#stale.has(object.number);
  }

  /** The masks to paint on a tick, that of the selected object last: [{object, mask}]. */
  layers(tick) {
    return this.state.objects
      .filter((object) => !object.hidden)
      .sort((a, b) => (a.number === this.chosen) - (b.number === this.chosen))
      .map((object) => ({ object, mask: this.masks.get(object.number, tick) }))
      .filter(({ mask }) => mask && (this.score <= SCORE_OFF || mask.score >= this.score));
  }

  /** The last tick at or before a time. */
  tickAt(seconds) {
    let [low, high] = [0, this.times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= seconds + 1e-4) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  seek(tick) {
    const there = Math.max(0, Math.min(this.times.length - 1, tick));
    if (there === this.tick) return;
    this.tick = there;
    this.#tell("tick");
    this.want();
  }

  /** Fetch the masks around the playhead. */
  want() {
    const shown = this.state.objects.filter((object) => !object.hidden).map((object) => object.number);
    this.masks.want(shown, this.tick, this.times.length);
  }

  choose(number) {
    if (number === this.chosen) return;
    if (this.draft !== null && number !== this.draft) this.draft = null;
    this.chosen = number;
    this.#tell("choice");
  }

  slide(name, value) {
    this[name] = value;
    this.#tell("look");
  }

  // ---- commands

  /** Add an object; its first prompt creates it. */
  begin() {
    this.draft = Math.max(SOUNDING, ...this.state.objects.map((object) => object.number)) + 1;
    this.choose(this.draft);
    return this.draft;
  }

  /** The object of a prompt: the selected one, else the visible one at the point, else a new one. */
  target(place = null, takes = false) {
    if (this.chosen !== null) return this.chosen;
    const seen = place && this.layers(this.tick).findLast(({ mask }) => this.#covers(mask, place));
    const only = takes && this.state.objects.length === 1 ? this.state.objects[0].number : null;
    const number = seen?.object.number ?? only;
    if (number === null) return this.begin();
    this.choose(number);
    return number;
  }

  #covers({ q, width, height, scale }, [x, y]) {
    const column = Math.floor((x / this.state.width) * width);
    const row = Math.floor((y / this.state.height) * height);
    return q[row * width + column] * scale > this.threshold;
  }

  /** Send a command and show its failure. Resolves to the reply, or to null. */
  async ask(message) {
    this.#wait(1);
    try {
      return await this.live.ask(message);
    } catch (error) {
      fail(error);
      return null;
    } finally {
      this.#wait(-1);
    }
  }

  #wait(more) {
    this.waiting += more;
    this.#tell("waiting");
  }

  /** Send a prompt of the target on the displayed tick. */
  async prompt(message) {
    const object = this.target();
    this.#stale.add(object);
    return this.ask({ object, tick: this.tick, ...message });
  }

  /** Send a command that changes masks without returning one, then request the displayed masks. */
  async change(message) {
    this.#asksAgain = true;
    if (message.object !== undefined) this.#stale.add(message.object);
    return this.ask(message);
  }

  /** Split a mask into objects by connected components. */
  async split(object) {
    const answer = await this.ask({ do: "split", object, tick: this.tick });
    if (answer && !answer.made?.length) note("This mask is all in one piece.");
  }

  /** Save the sliders in the session; nothing is computed. */
  keepSliders() {
    this.ask({ do: "sliders", threshold: this.threshold, score: this.score });
  }

  /** Undo the last change, or redo it with `again`. */
  undo(again = false) {
    if (again ? this.state.redo : this.state.undo) this.change({ do: again ? "redo" : "undo" });
  }

  async listen() {
    const hears = this.object(SOUNDING)?.hears;
    await this.run(async () => hears || (await this.ask({ do: "hear", object: SOUNDING, on: true })));
    if (this.busy && this.chosen === null) this.choose(SOUNDING);
  }

  /** Propagate all objects. @param before resolves to whether to start */
  async run(before = async () => true) {
    this.busy = { what: "run", done: 0, total: 0, eta: null };
    this.#tell("busy");
    if ((await before()) && (await this.ask({ do: "run", from: null, both: true }))) return;
    this.busy = null;
    this.#tell("busy");
  }

  async rename(name) {
    try {
      await send("PATCH", `/api/sessions/${this.id}`, { name });
      this.state.name = name;
      this.#tell("state");
    } catch (error) {
      fail(error);
    }
  }
}
