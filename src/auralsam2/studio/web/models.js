// What the loaded model is for, how to get the released ones, and the choice of another model.

import { get, getStudio, send } from "./api.js";
import { el, size } from "./dom.js";
import { fail, note } from "./toast.js";

const PERIOD = 700; // milliseconds between two requests of the progress
const BESIDE = 0.9e9; // bytes of the SAM 2 that all released models share

export class Models {
  #studio;
  #changed;
  #asking = false;
  #loading = null; // name of the model that the server loads

  /** @param studio response of GET /api/state @param changed called with it after the choice of another model */
  constructor(studio, changed) {
    this.#changed = changed;
    this.title = el("summary");
    this.about = el("p");
    this.list = el("ul", { class: "models" });
    this.element = el(
      "details",
      { class: "model-notice", open: studio.model.bundled, ontoggle: () => this.element.open && this.#update() },
      this.title,
      this.about,
      el("p", {}, `Released models, for ordinary videos, each need SAM 2 beside: about ${size(BESIDE)}, once.`),
      this.list,
    );
    this.#describe(studio);
    if (studio.model.bundled) this.#update();
  }

  #describe(studio) {
    this.#studio = studio;
    const { model } = studio;
    const reads = model.reads_text ? "audio, text, points, boxes and masks" : "audio, points, boxes and masks";
    const warning = model.bundled
      ? "It is for trying the Studio: it knows some animals, instruments and vehicles on simple scenes, and finds what " +
        "sounds in ordinary videos badly. Points, boxes and masks work on any object that differs from its background."
      : "";
    this.title.textContent = `Model ${model.name}${model.task ? `: ${model.task}` : ""}`;
    this.about.textContent = `${warning} It takes ${reads}.`.trim();
  }

  async #update() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      let running = true;
      while (running) {
        const models = await get("/api/models");
        this.list.replaceChildren(...models.map((entry) => this.#row(entry)));
        running = this.element.isConnected && models.some(({ download }) => download?.part);
        if (running) await new Promise((resolve) => setTimeout(resolve, PERIOD));
      }
    } catch (error) {
      fail(error);
    } finally {
      this.#asking = false;
    }
  }

  #row(entry) {
    const { name, task, size_mb: megabytes } = entry;
    const about = [task, megabytes && size(megabytes * 1e6)].filter(Boolean).join(", ");
    return el("li", { dataset: { model: name } }, el("strong", {}, name), ` ${about} `, this.#state(entry));
  }

  #state({ name, cached, download }) {
    if (name === this.#studio.model.name) return el("em", {}, "loaded");
    if (name === this.#loading) return el("em", { role: "status" }, "loading …");
    if (cached) return this.#button("Use", name, () => this.#use(name));
    const words = download?.error ? "Try again" : "Download";
    const button = this.#button(words, name, () => this.#start(name));
    if (download?.error) return el("span", { class: "failed" }, button, ` ${download.error}`);
    if (!download) return button;
    const { part, done, total } = download;
    const label = `Download of ${name}`;
    const bar = total
      ? el("progress", { max: total, value: done, "aria-label": label })
      : el("progress", { "aria-label": label });
    return el("span", { class: "arriving" }, bar, ` ${part}: ${total ? `${size(done)} of ${size(total)}` : "…"}`);
  }

  #button(words, name, onclick) {
    const disabled = words === "Use" && this.#loading !== null;
    const properties = { type: "button", class: "small", "aria-label": `${words} ${name}`, disabled, onclick };
    return el("button", properties, words);
  }

  async #start(name) {
    try {
      await send("POST", `/api/models/${name}`);
      await this.#update();
    } catch (error) {
      fail(error);
    }
  }

  /** Let the server load a model for the sessions that are opened from now on. */
  async #use(name) {
    this.#loading = name;
    await this.#update();
    try {
      await send("PUT", "/api/model", { name });
      this.#describe(await getStudio());
      this.#changed(this.#studio);
      note(`Sessions opened from now on use ${name}.`);
    } catch (error) {
      fail(error);
    }
    this.#loading = null;
    await this.#update();
  }
}
