// The buttons that compute masks for the whole clip, and their progress.

import { el, icon } from "./dom.js";
import { estimate, inWords } from "./pace.js";
import { TrackMenu } from "./track_menu.js";

/** Remaining seconds in words. */
export function left(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 1) return "almost done";
  return `${inWords(seconds)} left`;
}

export class Listen {
  #session;

  constructor(session) {
    this.#session = session;
    this.listen = el(
      "button",
      { type: "button", class: "primary", onclick: () => session.listen() },
      icon("listen"),
      "Listen",
    );
    this.listen.title = session.state.audio ? "Find what sounds, in the whole clip (S)" : "This clip has no sound";
    this.track = el(
      "button",
      { type: "button", onclick: () => session.run() },
      icon("track"),
      "Track",
    );
    this.bar = el("progress", { max: 1, "aria-label": "Progress" });
    this.text = el("span", { class: "eta", role: "status" });
    const tip = "Stop; masks so far stay";
    this.cancel = el("button", { type: "button", title: tip, onclick: () => this.stop() }, icon("close"), "Cancel");
    this.parts = new TrackMenu(session);
    this.idle = el("div", { class: "idle" }, this.track, this.parts.element, this.listen);
    this.running = el("div", { class: "running" }, this.bar, this.text, this.cancel);
    this.element = el("div", { class: "listen" }, this.idle, this.running);
    for (const what of ["state", "busy", "link"]) session.addEventListener(what, () => this.#update());
    this.#update();
  }

  stop() {
    if (this.#session.running) this.#session.ask({ do: "cancel", what: "run" });
  }

  #update() {
    const { running, starting, state, connected } = this.#session;
    const runs = Boolean(running || starting);
    const busy = running ?? { done: 0, total: 0, eta: null };
    this.idle.hidden = runs;
    this.running.hidden = !runs;
    this.listen.disabled = !state.audio || !connected;
    this.parts.button.disabled = this.track.disabled = !state.objects.length || !connected;
    const size = estimate(this.#session.times.length, state.objects.length);
    this.track.title = `Follow the objects through the whole clip (T): ${size}`;
    if (!runs) return;
    if (busy.total) this.bar.value = busy.done / busy.total;
    else this.bar.removeAttribute("value");
    const percent = busy.total ? `${Math.round((100 * busy.done) / busy.total)} %` : "Starting …";
    this.text.textContent = [percent, left(busy.eta)].filter(Boolean).join(" · ");
  }
}
