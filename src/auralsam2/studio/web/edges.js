// Edge tools: post-processing of the masks. The server applies it to the shown masks and to exports alike.

import { bytes } from "./api.js";
import { el } from "./dom.js";
import { decode } from "./payload.js";

const OFF = { smooth: 1, fill_holes: false, min_area: 0, grow: 0, feather: 0 };
const STEPS = [
  ["smooth", "Smooth over frames", { min: 1, max: 99, step: 2 }, "Majority of so many neighbouring frames, an odd number"],
  ["fill_holes", "Fill holes", null, "Fill background that a mask encloses"],
  ["min_area", "Drop specks below (px)", { min: 0, step: 10 }, "Remove parts with fewer pixels of the source"],
  ["grow", "Grow, shrink (px)", { min: -200, max: 200, step: 0.5 }, "Pixels of the source; negative shrinks"],
  ["feather", "Feather (px)", { min: 0, max: 500, step: 0.5 }, "Soft edge of cut-outs and mattes; other exports are hard"],
];
const HELD = 64;
const FETCHES = 2;
const AHEAD = 4;

/** The post-processed masks around the playhead. */
export class Previews {
  #session;
  #held = new Map(); // key → {object, tick, mask, version}
  #fetching = new Map(); // key → {object, tick, outdated}
  #wanted = [];

  constructor(session) {
    this.#session = session;
    session.addEventListener("mask", ({ detail }) => this.#outdate(detail));
  }

  get #settings() {
    return { ...OFF, ...this.#session.state.edges };
  }

  /** Whether a step is on. */
  get active() {
    const settings = this.#settings;
    return Object.keys(OFF).some((key) => settings[key] !== OFF[key]);
  }

  get #version() {
    const { threshold, score } = this.#session;
    return new URLSearchParams({ ...this.#settings, threshold, score }).toString();
  }

  /** The post-processed mask, perhaps of earlier settings until the current one arrives; null without one. */
  get(object, tick) {
    if (!this.active) return null;
    const next = this.#session.playing ? AHEAD : 0;
    this.#wanted = this.#wanted.filter(([other]) => other !== object);
    for (let ahead = 0; ahead <= next; ahead += 1) this.#wanted.push([object, tick + ahead]);
    this.#fetch();
    return this.#held.get(`${object}/${tick}`)?.mask ?? null;
  }

  /** A new mask outdates its previews, and those of its neighbours. */
  #outdate({ object, tick }) {
    const concerned = (other) => other.object === object && (other.tick === tick || this.#settings.smooth > 1);
    for (const entry of this.#held.values()) if (concerned(entry)) entry.version = null;
    for (const job of this.#fetching.values()) if (concerned(job)) job.outdated = true;
  }

  #fetch() {
    const version = this.#version;
    while (this.#fetching.size < FETCHES && this.#wanted.length) {
      const [object, tick] = this.#wanted.shift();
      const key = `${object}/${tick}`;
      if (this.#fetching.has(key) || this.#held.get(key)?.version === version) continue;
      if (!this.#session.covered(object, tick)) continue;
      const job = { object, tick, outdated: false };
      this.#fetching.set(key, job);
      this.#load(key, job, version);
    }
  }

  async #load(key, job, version) {
    const { object, tick } = job;
    let mask = null;
    try {
      const data = await bytes(`/api/sessions/${this.#session.id}/edges/${object}/${tick}.bin?${version}`);
      mask = data && { ...(await decode(data)), soft: true };
    } catch {
      // The mask without clean-up stays; the next painting asks again.
    }
    this.#fetching.delete(key);
    this.#held.delete(key);
    if (mask) this.#held.set(key, { object, tick, mask, version: job.outdated ? null : version });
    if (this.#held.size > HELD) this.#held.delete(this.#held.keys().next().value);
    if (mask && tick === this.#session.tick) this.#session.refresh();
    else this.#fetch();
  }
}

/** Change steps of post-processing. */
async function setEdges(session, changes) {
  const before = session.state.edges;
  session.state.edges = { ...before, ...changes };
  session.refresh();
  if (await session.ask({ do: "sliders", ...changes })) return;
  session.state.edges = before;
  session.refresh();
}

/** The part of the panel with the steps. */
export function edgeTools(session) {
  const summary = el("summary", {}, "Clean up edges");
  const rows = STEPS.map(([key, label, numbers, tip]) => {
    const input = el("input", {
      ...(numbers ? { type: "number", ...numbers } : { type: "checkbox" }),
      dataset: { key },
      onchange: () => setEdges(session, { [key]: numbers ? within(input.valueAsNumber, key, numbers) : input.checked }),
    });
    return { key, input, label: el("label", { title: tip }, label, input) };
  });
  const reset = el("button", { type: "button", class: "small", onclick: () => setEdges(session, OFF) }, "Off");
  const update = () => {
    const edges = { ...OFF, ...session.state.edges };
    for (const { key, input } of rows) {
      if (input.type === "checkbox") input.checked = edges[key];
      else if (document.activeElement !== input || input.value === "") input.value = edges[key];
    }
    reset.disabled = !session.previews.active;
    summary.textContent = session.previews.active ? "Clean up edges · on" : "Clean up edges";
  };
  for (const what of ["state", "look"]) session.addEventListener(what, update);
  update();
  return el("details", { class: "clean" }, summary, rows.map(({ label }) => label), reset);
}

/** A valid value of a step, for one that may be none. */
function within(value, key, { min, max = Infinity }) {
  if (!Number.isFinite(value)) return OFF[key];
  const limited = Math.min(max, Math.max(min, value));
  if (key === "smooth") return 2 * Math.floor(limited / 2) + 1;
  return key === "min_area" ? Math.round(limited) : limited;
}
