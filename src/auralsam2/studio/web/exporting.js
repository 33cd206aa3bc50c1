// The export menu: starts exports, shows their progress and downloads them.

import { media, send } from "./api.js";
import { el, icon } from "./dom.js";
import { left } from "./listen.js";
import { closeOutside, menuButton, menuKey } from "./menu.js";
import { coverage } from "./ticks.js";
import { fail, note } from "./toast.js";

export const KINDS = [
  ["overlay", "Overlay video", "MP4 with sound, masks painted in"],
  ["masks", "PNG masks", "black and white, for each object and frame"],
  ["cutout-prores", "Cut-out, ProRes 4444", "MOV with alpha and sound, for video editors"],
  ["cutout-webm", "Cut-out, WebM", "VP9 with alpha and sound, for browsers"],
  ["cutout-png", "Cut-out, PNG", "RGBA, one for each frame of the video"],
  ["matte", "Matte, H.264", "white is the object"],
  ["matte-prores", "Matte, ProRes", "white is the object"],
  ["davis", "DAVIS palette", "one indexed PNG for each frame"],
  ["mots", "MOTS", "one 16-bit PNG for each frame"],
  ["coco", "COCO JSON", "run lengths, for training"],
  ["ytvis", "YouTube-VIS JSON", "one track for each object"],
  ["yolo", "YOLO", "frames and polygons"],
  ["cvat", "CVAT XML", "masks, for images and for video"],
  ["labelstudio", "Label Studio", "brush masks and a timeline"],
  ["npz", "NumPy", "label volume"],
  ["intervals", "Intervals", "CSV, WebVTT, EDL, FCPXML, RTTM"],
  ["frames", "Frames", "JPEG at full size, to go with COCO"],
  ["session", "Session", "all of it, to open again later"],
];

/** Kinds that merge the masks of all objects, and have a second form with a file of each object. */
const MERGING = new Set(["cutout-prores", "cutout-webm", "cutout-png", "matte", "matte-prores"]);
const EACH = "each";
const SUFFIX = "-objects";

/** Download an export that is finished. */
export function download(id, kind) {
  const link = el("a", { href: media(`/api/sessions/${id}/export/${kind}`), download: "" });
  document.body.append(link);
  link.click();
  link.remove();
}

export class Exporting {
  #session;
  #kind = null;

  constructor(session) {
    this.#session = session;
    this.button = menuButton({ title: "Export (E)", onclick: () => this.toggle() }, icon("export"), "Export");
    this.bar = el("progress", { max: 1, "aria-label": "Progress of the export" });
    this.text = el("span", { class: "what" });
    const cancel = () => session.ask({ do: "cancel", what: "export" });
    this.cancel = el("button", { type: "button", class: "small", onclick: cancel }, "Cancel");
    this.job = el("div", { class: "job", hidden: true, role: "status" }, this.text, this.bar, this.cancel);
    this.warning = el("p", { class: "warning" });
    const track = () => {
      this.toggle(false);
      session.run();
    };
    this.track = el("button", { type: "button", class: "small", onclick: track }, "Track now");
    this.notice = el("div", { class: "notice" }, this.warning, this.track);
    this.items = KINDS.map(([kind, name, what]) =>
      el(
        "button",
        { type: "button", role: "menuitem", dataset: { kind }, onclick: () => this.#start(kind) },
        el("strong", {}, name),
        el("small", {}, what),
      ),
    );
    const keys = (event) => menuKey(event, this.items, this.button, () => this.toggle(false));
    this.menu = el("div", { class: "menu", role: "menu", onkeydown: keys }, this.items);
    this.which = el("select", { "aria-label": "Exported objects" });
    this.invert = el("input", { type: "checkbox", id: "invert" });
    const options = el(
      "div",
      { class: "export-options" },
      this.which,
      el("label", { title: "Cut out the background; cut-outs and mattes alone" }, this.invert, "Invert"),
    );
    this.cleaned = el("p", { class: "small-print" }, "Edges are cleaned up as in the panel.");
    this.sheet = el("div", { class: "menu-sheet", hidden: true }, this.notice, options, this.cleaned, this.menu);
    this.element = el("div", { class: "exporting" }, this.job, this.button, this.sheet);
    session.addEventListener("export", ({ detail }) => this.#news(detail));
    session.addEventListener("link", () => session.connected || this.#over());
    closeOutside(this.element, () => this.toggle(false), session.ended);
  }

  toggle(open = this.sheet.hidden) {
    this.sheet.hidden = !open;
    if (open) {
      this.#warn();
      this.#list();
    }
    this.button.setAttribute("aria-expanded", open);
    if (open) this.items[0].focus();
  }

  /** The objects to choose from. */
  #list() {
    const chosen = this.which.value;
    const objects = this.#session.state.objects;
    this.which.replaceChildren(
      el("option", { value: "" }, "All shown objects"),
      el("option", { value: EACH }, "Each object by itself"),
      ...objects.map(({ number, name }) => el("option", { value: number }, name)),
    );
    this.which.value = chosen === EACH || objects.some(({ number }) => String(number) === chosen) ? chosen : "";
    this.cleaned.hidden = !this.#session.previews.active;
  }

  /** Name what is missing or out of date before an export. */
  #warn() {
    const { masks, frames, stale } = coverage(this.#session);
    const parts = [];
    if (masks < frames) parts.push(`${masks} of ${frames} frames ${masks === 1 ? "has" : "have"} a mask.`);
    if (stale.length) {
      const names = stale.map((object) => object.name).join(", ");
      parts.push(`${names}: prompts are newer than the masks.`);
    }
    this.warning.textContent = parts.join(" ");
    this.notice.hidden = parts.length === 0;
    this.track.disabled = !this.#session.state.objects.length || Boolean(this.#session.running);
  }

  async #start(kind) {
    this.toggle(false);
    const { id, threshold, score } = this.#session;
    if (this.which.value === EACH && MERGING.has(kind)) kind += SUFFIX;
    this.#show(kind, null);
    const order = { kind, threshold, score, invert: this.invert.checked };
    if (this.which.value && this.which.value !== EACH) order.objects = [Number(this.which.value)];
    try {
      await send("POST", `/api/sessions/${id}/export`, order);
    } catch (error) {
      this.#over();
      fail(error);
    }
  }

  #show(kind, part, seconds = null) {
    this.#kind = kind;
    this.job.hidden = false;
    this.button.disabled = true;
    const name = KINDS.find(([other]) => other === kind.replace(SUFFIX, ""))?.[1] ?? "Export";
    this.text.textContent = [name, left(seconds)].filter(Boolean).join(" · ");
    if (part === null) this.bar.removeAttribute("value");
    else this.bar.value = part;
  }

  #over() {
    this.#kind = null;
    this.job.hidden = true;
    this.button.disabled = false;
  }

  #news(message) {
    if (message.is === "closed" && this.#kind) {
      this.#over();
      fail("The session was closed during the export: export again.");
    }
    const { kind } = message;
    if (!this.#kind || kind !== this.#kind) return; // another tab's
    if (message.is === "progress") this.#show(kind, message.total ? message.done / message.total : null, message.eta);
    else this.#over();
    if (message.is === "done") download(this.#session.id, kind);
    if (message.is === "cancelled" && !message.error) note("Export cancelled.");
    if (message.error) fail(message.error);
  }
}
