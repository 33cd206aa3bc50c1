// The list of objects, and the actions for the selected one.

import { copyOn, declareAbsent, separateSources, splitParts } from "./actions.js";
import { sendFile } from "./api.js";
import { el, iconButton } from "./dom.js";
import { addLabel, Labels, labels } from "./labels.js";
import { fail } from "./toast.js";

const NAME_LENGTH = 60;
export class Objects {
  #session;
  #readsText;
  #editing = false;
  #seen = null;

  constructor(session, { readsText }) {
    this.#session = session;
    this.#readsText = readsText;
    this.list = el("ul", { class: "objects" });
    this.names = el("datalist", { id: "labels" });
    this.labels = new Labels(session);
    this.element = el(
      "section",
      { class: "panel-part grow", "aria-label": "Objects" },
      el(
        "header",
        {},
        el("h2", {}, "Objects"),
        el(
          "div",
          { class: "group" },
          this.#importer(),
          iconButton("plus", "New object", () => session.begin(), { key: "N" }),
        ),
      ),
      el("div", { class: "cards" }, this.list, this.names, this.labels.element),
    );
    for (const what of ["state", "choice", "tick"]) session.addEventListener(what, () => this.#update());
    this.#update();
  }

  #update() {
    // A name or text that is being edited is unchanged until it is sent.
    if (this.#editing) return;
    const held = document.activeElement?.dataset?.control;
    const objects = this.#session.objects;
    if (objects.length) this.list.replaceChildren(...objects.map((object) => this.#row(object)));
    else this.list.replaceChildren(this.#empty());
    // Scroll the selected object and its actions into view after the timeline has its size.
    const row = this.list.querySelector(".chosen");
    const seen = row && `${row.dataset.object} ${row.className}`;
    if (seen !== this.#seen) {
      requestAnimationFrame(() => this.list.querySelector(".chosen")?.scrollIntoView({ block: "nearest" }));
    }
    this.#seen = seen;
    if (held) this.list.querySelector(`[data-control="${held}"]`)?.focus({ preventScroll: true });
  }

  /** The button that adds the objects of a file. */
  #importer() {
    const picker = el("input", {
      type: "file",
      accept: ".json,.zip",
      class: "unseen",
      tabIndex: -1,
      "aria-label": "File with masks",
      onchange: async () => {
        const [file] = picker.files;
        picker.value = "";
        if (!file) return;
        try {
          await sendFile(`/api/sessions/${this.#session.id}/masks`, file);
        } catch (error) {
          fail(error);
        }
      },
    });
    const button = iconButton("upload", "Import masks", () => picker.click(), {
      title: "Import masks: result.json, COCO, or a .zip of PNG masks named by frame",
    });
    return el("span", {}, button, picker);
  }

  #empty() {
    const ways = this.#session.state.audio ? "Press Listen to find what sounds, or click" : "Click";
    return el("li", { class: "empty" }, el("p", {}, `${ways} on something in the picture.`));
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
        this.#readsText ? el("label", { class: "words" }, this.#newWords()) : null,
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
    const tip = "Its prompts are newer than its masks: press Track";
    const stale = object.stale ? el("span", { class: "stale", title: tip }, "stale") : null;
    const line = el(
      "div",
      { class: "line" },
      swatch,
      title,
      stale,
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

  /** The field that creates an object from words. */
  #newWords() {
    const words = el("input", {
      type: "text",
      placeholder: "or in words: the dog on the left",
      "aria-label": "Describe the new object in words",
      maxLength: 300,
      onfocus: () => (this.#editing = true),
      onblur: () => (this.#editing = false),
      onkeydown: (event) => event.key === "Enter" && words.blur(),
      onchange: () => {
        this.#editing = false;
        const text = words.value.trim();
        if (text) this.#session.create({ do: "say", text }).then(() => this.#session.look());
      },
    });
    return words;
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
      onkeydown: (event) => event.key === "Enter" && hears.click(),
      onchange: () => session.change({ do: "hear", object: number, on: hears.checked }),
    });
    const words = el("input", {
      type: "text",
      value: object.text ?? "",
      placeholder: "in words: the dog on the left",
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
    const sounds = object.intervals.length > 0 && object.hears;
    const apart = el(
      "button",
      {
        type: "button",
        class: "small",
        title: "Make an object of each sounding source that can be told apart",
        disabled: Boolean(session.running),
        dataset: { control: `apart-${number}` },
        onclick: () => separateSources(session, number),
      },
      "Separate sources",
    );
    const here = session.state.prompts.some((prompt) => prompt.object === number && prompt.tick === session.tick);
    const mask = session.masks.get(number, session.tick);
    return el(
      "div",
      { class: "details" },
      el("label", { class: "switch" }, hears, el("span", {}, "Hears the sound")),
      sounds ? apart : null,
      this.#readsText ? el("label", { class: "words" }, words) : null,
      el(
        "div",
        { class: "actions" },
        iconButton("pen", "Rename", () => this.rename(number), { dataset: { control: `rename-${number}` } }),
        iconButton("clear", "Clear frame", () => session.change({ do: "clear", object: number, tick: session.tick }), {
          title: "Clear frame: remove the prompts of this frame",
          disabled: !here,
          dataset: { control: `clear-${number}` },
        }),
        iconButton("copy", "Copy on", () => copyOn(session), {
          title: "Copy on: make the mask of this frame a prompt of the next one (Y)",
          disabled: !mask,
          dataset: { control: `copy-${number}` },
        }),
        iconButton("absent", "Not here", () => declareAbsent(session), {
          title: "Not here: the object is not on this frame, or not from the in to the out point (Q)",
          dataset: { control: `absent-${number}` },
        }),
        iconButton("split", "Split parts", () => splitParts(session, number), {
          title: "Split parts: make an object of each part of the mask on this frame",
          disabled: !mask,
          dataset: { control: `split-${number}` },
        }),
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
    const field = el("input", { type: "text", class: "name", maxLength: NAME_LENGTH, "aria-label": "Name" });
    field.setAttribute("list", "labels");
    this.names.replaceChildren(...labels().map(({ name }) => el("option", { value: name })));
    field.value = object.name;
    this.#editing = true;
    const done = (keep) => {
      if (!this.#editing) return;
      this.#editing = false;
      const name = field.value.trim();
      const known = labels().find((label) => label.name === name);
      if (keep && name && name !== object.name) {
        // A known label brings its colour.
        this.#session.ask({ do: "style", object: number, name, ...(known?.colour && { colour: known.colour }) });
        addLabel(name, known?.colour ?? object.colour);
        this.labels.update();
      }
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
