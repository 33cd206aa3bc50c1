// What the loaded model is for, and how to get the released ones.

import { get, send } from "./api.js";
import { el, size } from "./dom.js";
import { fail } from "./toast.js";

const PERIOD = 700; // milliseconds between two requests of the progress
const BESIDE = 0.9e9; // bytes of the SAM 2 that all released models share

export class Models {
  #studio;
  #asking = false;

  /** @param studio response of GET /api/state */
  constructor(studio) {
    this.#studio = studio;
    const { model } = studio;
    const reads = model.reads_text ? "audio, text, points, boxes and masks" : "audio, points, boxes and masks";
    const warning = model.bundled
      ? "It is for trying the Studio: it knows some animals, instruments and vehicles on simple scenes, and finds what " +
        "sounds in ordinary videos badly. Points, boxes and masks work on any object that differs from its background."
      : "";
    this.list = el("ul", { class: "models" });
    this.element = el(
      "details",
      { class: "model-notice", open: model.bundled, ontoggle: () => this.element.open && this.#update() },
      el("summary", {}, `Model ${model.name}`, model.task ? `: ${model.task}` : ""),
      el("p", {}, `${warning} It takes ${reads}.`.trim()),
      el("p", {}, `Released models, for ordinary videos. Each also needs SAM 2, about ${size(BESIDE)}, once.`),
      this.list,
    );
    if (model.bundled) this.#update();
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
    const { name, task, size_mb: megabytes, text, cached, download } = entry;
    const about = `${task}; ${text ? "audio and text" : "audio"}, ${size(megabytes * 1e6)}`;
    return el("li", { dataset: { model: name } }, el("strong", {}, name), ` ${about} `, this.#state(name, cached, download));
  }

  #state(name, cached, download) {
    if (name === this.#studio.model.name) return el("em", {}, "loaded");
    if (cached) return el("span", {}, "ready: ", el("code", {}, `auralsam2 studio --model ${name}`));
    const words = download?.error ? "Try again" : "Download";
    const start = () => this.#start(name);
    const button = el("button", { type: "button", class: "small", "aria-label": `${words} ${name}`, onclick: start }, words);
    if (download?.error) return el("span", { class: "failed" }, button, ` ${download.error}`);
    if (!download) return button;
    const { part, done, total } = download;
    const label = `Download of ${name}`;
    const bar = total
      ? el("progress", { max: total, value: done, "aria-label": label })
      : el("progress", { "aria-label": label });
    return el("span", { class: "arriving" }, bar, ` ${part}: ${total ? `${size(done)} of ${size(total)}` : "…"}`);
  }

  async #start(name) {
    try {
      await send("POST", `/api/models/${name}`);
      await this.#update();
    } catch (error) {
      fail(error);
    }
  }
}
