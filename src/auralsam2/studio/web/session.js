// An open session: state of the server, playhead, and commands.

import { get, getStudio, send } from "./api.js";
import { Previews } from "./edges.js";
import { Frames } from "./frames.js";
import { Live } from "./live.js";
import { Masks } from "./masks.js";
import { learnPace } from "./pace.js";
import { fail, note } from "./toast.js";

const LOCKED = 403;
export const SOUNDING = 0;
export const SCORE_OFF = -20;
export const NEW = "new"; // number of an object without prompts, which the server does not know

/**
 * Events: `state`, `tick`, `choice`, `look` (sliders), `mask` (detail: the mask), `busy`, `export` (detail: news),
 * `marks` (in and out point), `view` (opacity, solo, hidden prompts), `waiting` (commands without a reply), `link` (connected or not), `gone` (deleted elsewhere), `locked` (new token).
 */
export class Session extends EventTarget {
  tick = 0;
  chosen = null;
  draft = false; // whether there is a new object without prompts
  threshold = 0;
  score = SCORE_OFF;
  running = null; // progress of the propagation, as the server reports it
  starting = false; // a propagation was ordered and is not confirmed
  connected = false;
  playing = false;
  waiting = 0; // questions without an answer
  opacity = 1; // of the masks, relative to the usual one
  solo = false; // show the selected object alone
  onlySounding = false; // show masks of frames in which their object sounds alone
  promptsHidden = false;
  first = null; // tick of the in point
  last = null; // tick of the out point
  #job = null; // command of the job that was started last
  #creating = null; // promise of the number of the new object
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
    this.previews = new Previews(this);
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
    this.running = state.run ?? null;
    if (this.chosen !== null && this.chosen !== NEW && !this.object(this.chosen)) this.chosen = null;
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
      await getStudio();
      const full = await get(`/api/sessions/${this.id}`);
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
    this.running = null;
    this.#announced = "lost";
    if (first) this.#tell("busy");
    this.#tell("link");
    try {
      await getStudio();
    } catch (error) {
      if (error.status === LOCKED) this.#tell("locked");
    }
  }

  #news(message) {
    if (message.is === "state") {
      this.#take(message);
      this.#changed();
    } else if (message.is === "gone") {
      this.masks.drop(message.object, message.tick);
      this.#tell("look");
    } else if (message.is === "note") note(message.text);
    else if (message.what === "export") this.#tell("export", message);
    else if (message.is === "progress") {
      this.running = message;
      if (this.#job === "run") learnPace(message);
      this.#tell("busy");
    } else if (message.is === "done" || message.is === "cancelled" || message.is === "closed") {
      this.running = null;
      if (message.error) fail(message.error);
      if (message.is === "closed") this.#tell("export", message);
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
    return this.draft ? [...objects, { number: NEW, name: "New object", draft: true, intervals: [] }] : objects;
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

  /** The masks to paint on a tick, that of the selected object last: [{object, mask}]. */
  layers(tick) {
    return this.state.objects
      .filter((object) => (this.solo && this.object(this.chosen) ? object.number === this.chosen : !object.hidden))
      .sort((a, b) => (a.number === this.chosen) - (b.number === this.chosen))
      .map((object) => ({ object, mask: this.masks.get(object.number, tick) }))
      .filter(({ mask }) => mask && (mask.sounding || !this.onlySounding))
      .filter(({ mask }) => (this.score <= SCORE_OFF || mask.score >= this.score));
  }

  /** Ticks from the in point to the out point. */
  get range() {
    return [this.first ?? 0, this.last ?? this.times.length - 1];
  }

  /** Whether there is an in point or an out point. */
  get marked() {
    return this.first !== null || this.last !== null;
  }

  /** Go to the nearest tick of a list before or after the playhead. */
  seekNext(ticks, direction) {
    const there = ticks.filter((tick) => (tick - this.tick) * direction > 0).sort((a, b) => (a - b) * direction)[0];
    if (there !== undefined) this.seek(there);
    return there !== undefined;
  }

  /** Change a setting of the view or a slider. */
  setView(name, value) {
    this[name] = value;
    this.#tell("look");
    this.#tell("view");
  }

  /** Set the in or the out point to the playhead; `null` for both clears them. */
  mark(which) {
    if (which === "first") {
      this.first = this.tick;
      if (this.last !== null && this.last < this.tick) this.last = null;
    } else if (which === "last") {
      this.last = this.tick;
      if (this.first !== null && this.first > this.tick) this.first = null;
    } else [this.first, this.last] = [null, null];
    this.#tell("marks");
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
    this.draft = number === NEW;
    this.chosen = number;
    this.#tell("choice");
  }

  /** Paint again, with masks that have arrived. */
  refresh() {
    this.#tell("look");
  }

  // ---- commands

  /** Add an object; its first prompt creates it, and the server gives its number. */
  begin() {
    if (this.chosen !== NEW) this.#creating = null;
    this.choose(NEW);
    return NEW;
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
    const tick = this.tick;
    if (object !== NEW) return this.ask({ object, tick, ...message });
    const created = await this.#creating;
    if (created) return this.ask({ object: created, tick, ...message });
    return this.create({ tick, ...message });
  }

  /** Send the first prompt of a new object, and select the object. */
  async create(message) {
    const answer = this.ask({ object: null, ...message });
    this.#creating = answer.then((reply) => reply?.object ?? null);
    const created = await this.#creating;
    if (created !== null && this.chosen === NEW) this.choose(created);
    return answer;
  }

  /** Request the mask of the selected object on the displayed tick. */
  look() {
    if (this.object(this.chosen)) this.ask({ do: "look", object: this.chosen, tick: this.tick });
  }

  /** Send a command that changes masks without returning one, then request the displayed masks. */
  async change(message) {
    this.#asksAgain = true;
    return this.ask(message);
  }

  /** Save the sliders in the session; nothing is computed. */
  keepSliders() {
    this.ask({ do: "sliders", threshold: this.threshold, score: this.score });
  }

  /** Undo the last change, or redo it with `again`. */
  undo(again = false) {
    if (again ? this.state.redo : this.state.undo) this.#step(again ? "redo" : "undo");
  }

  async #step(what) {
    const before = this.state.objects.map((object) => object.number);
    const at = before.indexOf(this.chosen);
    const answer = await this.change({ do: what });
    if (!answer) return;
    // The object of the step; if it is gone, the one before it in the list.
    const remaining = before.slice(0, Math.max(0, at)).findLast((number) => this.object(number));
    if (answer.object !== null) this.choose(answer.object);
    else if (this.chosen === null) this.choose(remaining ?? this.state.objects[0]?.number ?? null);
  }

  async listen() {
    const hears = this.object(SOUNDING)?.hears;
    await this.run(async () => hears || (await this.ask({ do: "hear", object: SOUNDING, on: true })));
    if (this.running && this.chosen === null) this.choose(SOUNDING);
  }

  /**
   * Propagate objects.
   *
   * @param before resolves to whether to start
   * @param range {objects, first, last, direction}; the defaults are all objects and the whole clip
   */
  run(before = async () => true, range = {}) {
    return this.start({ do: "run", ...range }, before);
  }

  /** Send a command that starts a job. */
  async start(message, before = async () => true) {
    this.starting = true;
    this.#job = message.do;
    this.#tell("busy");
    if (await before()) await this.ask(message);
    this.starting = false;
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
