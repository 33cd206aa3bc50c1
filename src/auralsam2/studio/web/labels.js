// The labels of objects: names and colours that this browser remembers for all clips.

import { el, iconButton } from "./dom.js";

const KEY = "auralsam2.labels";
const MOST = 100;
const KEYED = 9; // labels with a key

/** The labels in their order: [{name, colour}], colour null for any. */
export function labels() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return stored
      .map((label) => (typeof label === "string" ? { name: label, colour: null } : label))
      .filter(({ name }) => typeof name === "string");
  } catch {
    return [];
  }
}

function keep(list) {
  localStorage.setItem(KEY, JSON.stringify(list.slice(0, MOST)));
}

/** Add a label, or change the colour of the one with its name. */
export function addLabel(name, colour = null) {
  const list = labels();
  const known = list.find((label) => label.name === name);
  if (known) known.colour = colour ?? known.colour;
  else list.push({ name, colour });
  keep(list);
}

export class Labels {
  #session;

  constructor(session) {
    this.#session = session;
    this.list = el("ul", { class: "labels" });
    const field = el("input", {
      type: "text",
      maxLength: 60,
      placeholder: "New label",
      "aria-label": "New label",
      onkeydown: (event) => event.key === "Enter" && field.blur(),
      onchange: () => {
        if (field.value.trim()) addLabel(field.value.trim(), session.object(session.chosen)?.colour);
        field.value = "";
        this.update();
      },
    });
    this.element = el("details", { class: "label-list" }, el("summary", {}, "Labels"), this.list, field);
    window.addEventListener("storage", () => this.update(), { signal: session.ended });
    session.addEventListener("choice", () => this.update());
    this.update();
  }

  /** Give the selected object the label of a number, from 0. */
  apply(at) {
    const label = labels()[at];
    const object = this.#session.object(this.#session.chosen);
    if (!label || !object) return;
    const { name, colour } = label;
    this.#session.ask({ do: "style", object: object.number, name, ...(colour && { colour }) });
  }

  update() {
    const chosen = this.#session.object(this.#session.chosen) !== null;
    this.list.replaceChildren(
      ...labels().map(({ name, colour }, at) => {
        const dot = el("span", { class: "dot" });
        dot.style.background = colour ?? "transparent";
        const key = at < KEYED ? el("kbd", {}, `Shift ${at + 1}`) : null;
        const give = el(
          "button",
          { type: "button", class: "name", disabled: !chosen, onclick: () => this.apply(at) },
          dot,
          el("span", {}, name),
          key,
        );
        const remove = iconButton("close", `Remove the label ${name}`, () => {
          keep(labels().filter((other) => other.name !== name));
          this.update();
        });
        return el("li", {}, give, remove);
      }),
    );
  }
}
