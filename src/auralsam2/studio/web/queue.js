// The clips of the studio as a queue: which come before and after, and which are done.

import { get, send } from "./api.js";
import { el, icon, iconButton } from "./dom.js";
import { fail, note } from "./toast.js";

/** The id of the clip before (-1) or after (1) in the order of their import, or null. */
async function neighbour(id, step, wanted = () => true) {
  const all = (await get("/api/sessions")).sort((a, b) => a.created.localeCompare(b.created));
  const at = all.findIndex((clip) => clip.id === id);
  const others = step > 0 ? all.slice(at + 1) : all.slice(0, Math.max(0, at)).reverse();
  return others.find(wanted)?.id ?? null;
}

/** Mark a clip as done or to do. */
export function markDone(id, done) {
  return send("PATCH", `/api/sessions/${id}`, { done });
}

export class Queue {
  #session;

  constructor(session) {
    this.#session = session;
    this.before = iconButton("previous", "Clip before", () => this.go(-1), { key: "Page Up" });
    this.after = iconButton("next", "Clip after", () => this.go(1), { key: "Page Down" });
    this.done = el("button", { type: "button", class: "small", onclick: () => this.mark() });
    const next = el(
      "button",
      { type: "button", class: "small", title: "Mark as done, and open the next clip to do", onclick: () => this.finish() },
      "Done, next",
    );
    const parts = [this.before, this.done, next, this.after];
    this.element = el("section", { class: "queue", "aria-label": "Clips" }, parts);
    session.addEventListener("state", () => this.#update());
    this.#update();
  }

  /** Open the clip before or after. */
  async go(step, wanted = undefined) {
    try {
      const id = await neighbour(this.#session.id, step, wanted);
      if (id) location.hash = id;
      else note(wanted ? "All clips after this one are done." : `There is no clip ${step > 0 ? "after" : "before"} this one.`);
    } catch (error) {
      fail(error);
    }
  }

  /** Mark the clip as done, or as to do again. */
  async mark() {
    const { state, id } = this.#session;
    try {
      await markDone(id, !state.done);
    } catch (error) {
      fail(error);
    }
  }

  /** Mark the clip as done, and open the next one to do. */
  async finish() {
    if (!this.#session.state.done) await this.mark();
    await this.go(1, (clip) => !clip.done);
  }

  #update() {
    const { done } = this.#session.state;
    this.done.setAttribute("aria-pressed", Boolean(done));
    this.done.title = done ? "Done: mark as to do (F4)" : "To do: mark as done (F4)";
    this.done.replaceChildren(...(done ? [icon("check"), "Done"] : ["To do"]));
  }
}
