// The menu beside "Track": parts of the clip, and single objects.

import { el, icon } from "./dom.js";
import { closeOutside, menuButton, menuKey } from "./menu.js";
import { estimate } from "./pace.js";

export class TrackMenu {
  #session;

  constructor(session) {
    this.#session = session;
    const name = "Track a part of the clip";
    const properties = { class: "more", title: name, "aria-label": name, onclick: () => this.toggle() };
    this.button = menuButton(properties, icon("more"));
    this.menu = el("div", { class: "menu-sheet upward", role: "menu", hidden: true });
    this.menu.addEventListener("keydown", (event) => {
      const items = [...this.menu.querySelectorAll("button:enabled")];
      menuKey(event, items, this.button, () => this.toggle(false));
    });
    this.element = el("div", { class: "track-menu" }, this.button, this.menu);
    closeOutside(this.element, () => this.toggle(false), session.ended);
  }

  toggle(open = this.menu.hidden) {
    if (open) this.menu.replaceChildren(el("div", { class: "menu" }, this.#items()));
    this.menu.hidden = !open;
    this.button.setAttribute("aria-expanded", open);
    if (open) this.menu.querySelector("button:enabled")?.focus();
  }

  #items() {
    const session = this.#session;
    const { tick } = session;
    const object = session.object(session.chosen);
    const [first, last] = session.range;
    const only = object ? { objects: [object.number] } : null;
    return [
      this.#item("From here on", { first: tick, direction: "forward" }),
      this.#item("From here back", { last: tick, direction: "backward" }),
      this.#item(`Only ${object?.name ?? "the selected object"}`, only),
      this.#item("From in to out point (I, O)", session.marked ? { first, last } : null),
      this.#item(
        `${object?.name ?? "Selected object"} from in to out point`,
        object && session.marked ? { ...only, first, last } : null,
      ),
    ];
  }

  #item(name, range) {
    const { times, state } = this.#session;
    const { first = 0, last = times.length - 1, objects = state.objects } = range ?? {};
    const size = range && el("small", {}, estimate(last - first + 1, objects.length));
    const run = () => {
      this.toggle(false);
      this.#session.run(undefined, range);
    };
    return el("button", { type: "button", role: "menuitem", disabled: range === null, onclick: run }, name, size);
  }
}
