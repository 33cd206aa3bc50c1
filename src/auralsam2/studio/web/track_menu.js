// The menu beside "Track": parts of the clip, and single objects.

import { el, icon } from "./dom.js";

export class TrackMenu {
  #session;

  constructor(session) {
    this.#session = session;
    this.button = el(
      "button",
      {
        type: "button",
        class: "more",
        title: "Track a part of the clip",
        "aria-label": "Track a part of the clip",
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        onclick: () => this.toggle(),
      },
      icon("more"),
    );
    this.menu = el("div", { class: "menu-sheet upward", role: "menu", hidden: true });
    this.menu.addEventListener("keydown", (event) => this.#key(event));
    this.element = el("div", { class: "track-menu" }, this.button, this.menu);
    document.addEventListener(
      "pointerdown",
      (event) => this.element.contains(event.target) || this.toggle(false),
      { signal: session.ended },
    );
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
    const run = () => {
      this.toggle(false);
      this.#session.run(undefined, range);
    };
    return el("button", { type: "button", role: "menuitem", disabled: range === null, onclick: run }, name);
  }

  #key(event) {
    const items = [...this.menu.querySelectorAll("button:enabled")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) items.at((items.indexOf(document.activeElement) + step) % items.length)?.focus();
    else if (event.key === "Escape") {
      this.toggle(false);
      this.button.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
