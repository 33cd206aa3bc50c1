// The start page: open a video, open the demo clip, or open a saved session.

import { get, send, upload } from "./api.js";
import { Batch } from "./batch.js";
import { clock, el, icon, iconButton, size } from "./dom.js";
import { themeButton } from "./editor.js";
import { frameAddress } from "./frames.js";
import { confirmed } from "./help.js";
import { Models } from "./models.js";
import { markDone } from "./queue.js";
import { fail } from "./toast.js";

const EVERY = "every";
const RATES = [
  ["", "Automatic"],
  ...[1, 2, 5, 10, 24, 25, 30, 50, 60].map((rate) => [String(rate), `${rate} a second`]),
  [EVERY, "Every frame"],
];
const CARD_WIDTH = 480;
const HERE = new Set(["127.0.0.1", "localhost", "[::1]"]);

export class Start {
  #studio;
  #open;
  #abort = null;
  #sessions;

  /** @param studio response of GET /api/state @param sessions of GET /api/sessions @param open called with an id */
  constructor(studio, sessions, open) {
    this.#studio = studio;
    this.#sessions = sessions;
    this.#open = open;
    this.picker = el("input", {
      type: "file",
      accept: "video/*,.mkv,.mov,.avi,.webm,.zip",
      class: "unseen",
      multiple: true,
      tabIndex: -1,
      "aria-label": "Video file",
      onchange: () => this.takeAll([...this.picker.files]),
    });
    this.rate = el("select", { id: "rate" }, RATES.map(([value, name]) => el("option", { value }, name)));
    const pick = () => this.picker.click();
    const words = [icon("upload"), "Choose a video"];
    this.choose = el("button", { type: "button", class: "primary large", onclick: pick }, words);
    const show = () => this.#tryDemo();
    this.demo = el("button", { type: "button", class: "large", onclick: show }, icon("film"), "Try the demo clip");
    const { upload_bytes: bytes, minutes } = studio.limits;
    this.invitation = el(
      "div",
      { class: "invitation" },
      el("div", { class: "mark" }, icon("listen")),
      el("h2", {}, "Drop a video here"),
      el("p", {}, "See what sounds in it. Click to correct. Export the masks."),
      el("div", { class: "buttons" }, this.choose, this.demo),
      el(
        "p",
        { class: "small-print" },
        `Up to ${size(bytes)} and ${minutes} minutes.`,
        HERE.has(location.hostname) ? " The file stays on this computer." : null,
        el("label", { class: "rate" }, "Frames", this.rate),
      ),
    );
    this.bar = el("progress", { max: 1, "aria-label": "Upload" });
    this.percent = el("p", { class: "percent", role: "status" });
    this.title = el("h2", {}, "Opening …");
    this.sending = el(
      "div",
      { class: "sending", hidden: true },
      this.title,
      this.bar,
      this.percent,
      el("button", { type: "button", onclick: () => this.#abort?.abort() }, "Cancel"),
    );
    const parts = [this.invitation, this.sending, this.picker];
    this.zone = el("section", { class: "drop", "aria-label": "Open a video" }, parts);
    this.cards = el("ul", { class: "cards" });
    const title = "Saved sessions";
    this.search = el("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search the sessions by name",
      oninput: () => this.#list(),
    });
    const choices = ["all", "to do", "done"].map((value) => el("option", { value }, value));
    this.filter = el("select", { "aria-label": "Shown sessions", onchange: () => this.#list() }, choices);
    this.batch = new Batch(() => this.#sessions.filter(({ done }) => done));
    const head = el("header", {}, el("h2", {}, title), this.filter, this.search, this.batch.element);
    this.saved = el("section", { class: "saved", "aria-label": title }, head, this.cards);
    this.model = el("span", { class: "model", title: `AuralSAM2 ${studio.version}` });
    const name = ({ model }) => (this.model.textContent = `model ${model.name}`);
    name(studio);
    this.element = el(
      "div",
      { class: "start" },
      el(
        "header",
        { class: "top" },
        el("span", { class: "brand" }, icon("listen"), el("strong", {}, "AuralSAM2"), " Studio"),
        el("span", { class: "spring" }),
        this.model,
        themeButton(),
      ),
      el("h1", { class: "unseen" }, "AuralSAM2 Studio"),
      el("div", { class: "start-body" }, this.zone, this.saved, new Models(studio, name).element),
    );
    this.#list();
  }

  close() {
    this.#abort?.abort();
  }

  /** Open one file, or put several into the list one after the other. */
  async takeAll(files) {
    if (files.length < 2) {
      await this.take(files[0]);
      return;
    }
    for (const [at, file] of files.entries()) {
      this.title.textContent = `File ${at + 1} of ${files.length}: ${file.name}`;
      if ((await this.take(file, { opens: false })) === "aborted") break;
    }
    this.title.textContent = "Opening …";
    this.#sessions = await get("/api/sessions").catch(fail) ?? this.#sessions;
    this.#list();
  }

  /** Open a video file, or an exported session. Resolves to "aborted" if the user cancelled. */
  async take(file, { opens = true } = {}) {
    if (!file || this.#abort) return;
    this.picker.value = "";
    const most = this.#studio.limits.upload_bytes;
    if (file.size > most) {
      fail(`${file.name} is ${size(file.size)}, at most ${size(most)} are taken: cut it, or raise --max-upload.`);
      return;
    }
    this.#abort = new AbortController();
    this.invitation.hidden = true;
    this.sending.hidden = false;
    const progress = (sent, all) => {
      this.bar.value = sent / all;
      this.percent.textContent = sent < all ? `Sending: ${size(sent)} of ${size(all)}` : "Looking through …";
      if (sent === all) this.bar.removeAttribute("value");
    };
    const looked = (part) => {
      this.bar.value = part;
      this.percent.textContent = `Looking through: ${Math.round(100 * part)} %`;
    };
    progress(0, file.size || 1);
    const zip = /\.zip$/i.test(file.name);
    const { value } = this.rate;
    const rate = value === EVERY ? { every: true } : value && { fps: value };
    const query = zip ? {} : { name: file.name, ...rate };
    const { signal } = this.#abort;
    try {
      const { id } = await upload(zip ? "/api/restore" : "/api/upload", query, file, { progress, looked, signal });
      if (opens) this.#open(id);
      return "done";
    } catch (error) {
      if (error.name === "AbortError") return "aborted";
      fail(error);
      return "failed";
    } finally {
      this.#abort = null;
      this.invitation.hidden = false;
      this.sending.hidden = true;
    }
  }

  async #tryDemo() {
    this.demo.disabled = true;
    try {
      const { id } = await send("POST", "/api/sessions", { demo: true });
      this.#open(id);
    } catch (error) {
      fail(error);
    }
    this.demo.disabled = false;
  }

  #list() {
    const sessions = this.#sessions;
    this.saved.hidden = sessions.length === 0;
    const recent = [...sessions].sort((a, b) => b.saved.localeCompare(a.saved));
    this.search.hidden = sessions.length < 2;
    const wanted = this.search.value.trim().toLowerCase();
    this.filter.hidden = sessions.length < 2;
    this.batch.element.hidden = !sessions.some(({ done }) => done);
    const all = this.filter.value === "all";
    const marked = all ? recent : recent.filter(({ done }) => done === (this.filter.value === "done"));
    const shown = marked.filter(({ name }) => name.toLowerCase().includes(wanted));
    this.cards.replaceChildren(...shown.map((summary) => this.#card(summary)));
  }

  #card(summary) {
    const { id, name, duration, width, height, objects, saved, done } = summary;
    const mark = async () => {
      try {
        await markDone(id, !summary.done);
        summary.done = !summary.done;
        this.#list();
      } catch (error) {
        fail(error);
      }
    };
    const picture = el("img", { src: frameAddress(id, 0, CARD_WIDTH), alt: "", loading: "lazy" });
    const many = objects === 1 ? "1 object" : `${objects} objects`;
    return el(
      "li",
      { class: "card", dataset: { id } },
      el(
        "a",
        { href: `#${id}` },
        el("span", { class: "picture" }, picture, el("span", { class: "length" }, clock(duration, 0))),
        el("strong", {}, name),
        el("small", {}, `${width}×${height} · ${many} · ${ago(saved)}`),
      ),
      iconButton("check", done ? `${name} is done: mark as to do` : `Mark ${name} as done`, mark, {
        class: "icon-button mark-done",
        "aria-pressed": Boolean(done),
      }),
      iconButton("bin", `Delete ${name}`, () => this.#delete(id, name)),
    );
  }

  async #delete(id, name) {
    if (!(await confirmed(`Delete “${name}” with its video and masks for good?`, "Delete"))) return;
    try {
      await send("DELETE", `/api/sessions/${id}`);
      this.#sessions = this.#sessions.filter((summary) => summary.id !== id);
      this.#list();
    } catch (error) {
      fail(error);
    }
  }
}

/** A time as "5 min ago". */
function ago(time) {
  const words = new Intl.RelativeTimeFormat("en-GB", { numeric: "auto", style: "narrow" });
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return words.format(Math.round(seconds / length), unit);
  }
  return "just now";
}
