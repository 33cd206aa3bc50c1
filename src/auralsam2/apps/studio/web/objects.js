// The list of objects, and what can be done with the chosen one.

import { el, icon, iconButton } from "./dom.js";
import { SOUNDING } from "./session.js";

const NAME_LENGTH = 60;

export class Objects {
  #session;
  #readsText;
  #editing = false;

  constructor(session, { readsText }) {
    this.#session = session;
    this.#readsText = readsText;
    this.list = el("ul", { class: "objects" });
    this.element = el(
      "section",
      { class: "panel-part grow", "aria-label": "Objects" },
      el(
        "header",
        {},
        el("h2", {}, "Objects"),
        iconButton("plus", "New object", () => session.begin(), { key: "N" }),
      ),
      this.list,
    );
    for (const what of ["state", "choice", "tick"]) session.addEventListener(what, () => this.#update());
    this.#update();
  }

  #update() {
    // A name or words that are being typed stay as they are until they are sent.
    if (this.#editing) return;
    const held = document.activeElement?.dataset?.control;
    const objects = this.#session.objects;
    if (objects.length) this.list.replaceChildren(...objects.map((object) => this.#row(object)));
    else this.list.replaceChildren(this.#empty());
    if (held) this.list.querySelector(`[data-control="${held}"]`)?.focus({ preventScroll: true });
  }

  #empty() {
    const listens = this.#session.state.audio;
    return el(
      "li",
      { class: "empty" },
      el("p", {}, listens ? "Press Listen to find what sounds, or click on something in the picture." : "Click on something in the picture."),
    );
  }

  #row(object) {
    const session = this.#session;
    const chosen = session.chosen === object.number;
    if (object.draft) {
      return el(
        "li",
        { class: "object chosen draft" },
        el("div", { class: "line" }, el("span", { class: "swatch" }), el("span", { class: "name" }, "New object")),
        el("p", { class: "hint" }, "Click on it in the picture, or drag a box around it."),
      );
    }
    const { number, name, colour, hidden } = object;
    const swatch = el("input", {
      type: "color",
      class: "swatch",
      value: colour,
      title: "Colour",
      "aria-label": `Colour of ${name}`,
      dataset: { control: `colour-${number}` },
      onchange: () => session.ask({ do: "style", object: number, colour: swatch.value }),
    });
    const title = el(
      "button",
      {
        type: "button",
        class: "name",
        title: "Choose; double click to rename (F2)",
        "aria-pressed": chosen,
        dataset: { control: `name-${number}` },
        onclick: () => session.choose(number),
        ondblclick: () => this.rename(number),
      },
      name,
    );
    const stale = session.stale(object) && el("span", { class: "stale", title: "Prompts are newer than the masks: press Track" }, "stale");
    const line = el(
      "div",
      { class: "line" },
      swatch,
      title,
      stale || null,
      iconButton(hidden ? "hidden" : "eye", hidden ? `Show ${name}` : `Hide ${name}`, () => this.hide(number), {
        key: chosen ? "H" : null,
        dataset: { control: `eye-${number}` },
      }),
      iconButton("bin", `Delete ${name}`, () => this.remove(number), {
        key: chosen ? "Delete" : null,
        dataset: { control: `bin-${number}` },
      }),
    );
    return el(
      "li",
      { class: `object${chosen ? " chosen" : ""}${hidden ? " off" : ""}`, dataset: { object: number } },
      line,
      chosen ? this.#details(object) : null,
    );
  }

  #details(object) {
    const session = this.#session;
    const { number } = object;
    const hears = el("input", {
      type: "checkbox",
      role: "switch",
      checked: object.hears,
      disabled: !session.state.audio,
      dataset: { control: `hears-${number}` },
      onchange: () => session.change({ do: "hear", object: number, on: hears.checked }),
    });
    const words = el("input", {
      type: "text",
      value: object.text ?? "",
      placeholder: "the dog on the left",
      "aria-label": "Say which object, in words",
      dataset: { control: `words-${number}` },
      onfocus: () => (this.#editing = true),
      onblur: () => (this.#editing = false),
      onkeydown: (event) => event.key === "Enter" && words.blur(),
      onchange: () => {
        this.#editing = false;
        session.change({ do: "say", object: number, text: words.value.trim() || null });
      },
    });
    const here = session.state.prompts.some((prompt) => prompt.object === number && prompt.tick === session.tick);
    const mask = session.masks.get(number, session.tick);
    return el(
      "div",
      { class: "details" },
      el("label", { class: "switch" }, hears, el("span", {}, "Hears the sound")),
      this.#readsText ? el("label", { class: "words" }, words) : null,
      el(
        "div",
        { class: "actions" },
        el("button", { type: "button", class: "small", dataset: { control: `rename-${number}` }, onclick: () => this.rename(number) }, icon("pen"), "Rename"),
        el("button", { type: "button", class: "small", disabled: !here, title: "Take back what was said of it on this frame", dataset: { control: `clear-${number}` }, onclick: () => session.change({ do: "clear", object: number, tick: session.tick }) }, icon("clear"), "Clear frame"),
        number === SOUNDING
          ? el("button", { type: "button", class: "small", disabled: !mask, title: "Make an object of each part of the mask on this frame", dataset: { control: "split" }, onclick: () => session.ask({ do: "split", tick: session.tick }) }, icon("split"), "Split parts")
          : null,
      ),
    );
  }

  hide(number = this.#session.chosen) {
    const object = this.#session.object(number);
    if (object) this.#session.ask({ do: "style", object: number, hidden: !object.hidden });
  }

  remove(number = this.#session.chosen) {
    if (this.#session.object(number)) this.#session.ask({ do: "remove", object: number });
    else this.#session.choose(null);
  }

  rename(number = this.#session.chosen) {
    const object = this.#session.object(number);
    if (!object) return;
    this.#session.choose(number);
    const title = this.list.querySelector(`[data-control="name-${number}"]`);
    const field = el("input", { type: "text", class: "name", value: object.name, maxLength: NAME_LENGTH, "aria-label": "Name" });
    this.#editing = true;
    const done = (keep) => {
      if (!this.#editing) return;
      this.#editing = false;
      const name = field.value.trim();
      if (keep && name && name !== object.name) this.#session.ask({ do: "style", object: number, name });
      this.#update();
      this.list.querySelector(`[data-control="name-${number}"]`)?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") done(true);
      if (event.key === "Escape") done(false);
      event.stopPropagation();
    });
    field.addEventListener("blur", () => done(true));
    title.replaceWith(field);
    field.select();
  }
}
