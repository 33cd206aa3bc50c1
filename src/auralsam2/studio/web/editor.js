// The editor of one session.

import { clock, el, icon, iconButton, setIcon, timecode } from "./dom.js";
import { Exporting } from "./exporting.js";
import { showHelp } from "./help.js";
import { listenToKeys } from "./keys.js";
import { Listen } from "./listen.js";
import { Objects } from "./objects.js";
import { Player } from "./player.js";
import { Queue } from "./queue.js";
import { sliders } from "./sliders.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";
import { Tools } from "./tools.js";
import { level } from "./wave.js";

const METER_SECONDS = 0.1; // of sound that the level meter shows
const SMALL = matchMedia("(max-width: 720px), (max-height: 500px)");
const SPEEDS = [0.25, 0.5, 1, 2, 4];

export class Editor {
  #session;

  /** @param studio response of GET /api/state */
  constructor(session, studio) {
    this.#session = session;
    this.stage = new Stage(session);
    this.player = new Player(session);
    this.tools = new Tools(session, this.stage);
    this.objects = new Objects(session, { readsText: studio.model.reads_text });
    this.listen = new Listen(session);
    this.exporting = new Exporting(session);
    this.queue = new Queue(session);
    this.timeline = new Timeline(session, this.player);
    const panel = { class: "panel", "aria-label": "Objects and masks" };
    this.panel = el("aside", panel, this.objects.element, sliders(session));
    this.element = el(
      "div",
      { class: "editor" },
      el("h1", { class: "unseen" }, "Editor"),
      this.#top(),
      this.tools.element,
      this.stage.element,
      this.panel,
      this.#transport(),
      this.timeline.element,
    );
    const { player } = this;
    listenToKeys(session, this);
    for (const what of ["state", "link", "tick"]) session.addEventListener(what, () => this.#update());
    player.addEventListener("play", () => this.#update());
    this.stage.ink.addEventListener("pointerdown", () => player.playing && player.pause());
    player.addEventListener("time", () => this.#tell());
    SMALL.addEventListener("change", () => this.#placeQueue(), { signal: session.ended });
    this.#placeQueue();
    this.#update();
    session.want();
  }

  close() {
    this.player.close();
    this.#session.close();
  }

  toggleSides() {
    this.stage.sides = !this.stage.sides;
    this.sides.setAttribute("aria-pressed", this.stage.sides);
  }

  /** Open or close the panel, which covers the picture on small screens. */
  toggleDrawer() {
    this.drawer.setAttribute("aria-expanded", this.element.classList.toggle("with-panel"));
  }

  #top() {
    const session = this.#session;
    this.name = el("input", {
      type: "text",
      class: "title",
      maxLength: 120,
      "aria-label": "Name of the session",
      onkeydown: (event) => event.key === "Enter" && this.name.blur(),
      onchange: () => this.name.value.trim() && session.rename(this.name.value.trim()),
    });
    this.undo = iconButton("undo", "Undo", () => session.undo(), { key: "Ctrl+Z" });
    this.redo = iconButton("redo", "Redo", () => session.undo(true), { key: "Ctrl+Shift+Z" });
    this.sides = iconButton("sides", "Original beside", () => this.toggleSides(), { key: "C", "aria-pressed": false });
    this.drawer = iconButton("list", "Objects and masks", () => this.toggleDrawer(), {
      class: "icon-button drawer",
      "aria-expanded": false,
    });
    this.link = el("span", { class: "link", role: "status", hidden: true }, "Reconnecting …");
    return el(
      "header",
      { class: "top" },
      el("a", { class: "icon-button", href: "#", title: "All sessions", "aria-label": "All sessions" }, icon("home")),
      this.name,
      this.link,
      el("span", { class: "spring" }),
      el("div", { class: "group" }, this.undo, this.redo),
      el("div", { class: "group" }, this.sides, themeButton(), iconButton("help", "Shortcuts", showHelp, { key: "?" })),
      this.exporting.element,
      this.drawer,
    );
  }

  /** The queue is in the bar at the top, and on small screens in the panel. */
  #placeQueue() {
    if (SMALL.matches) this.panel.append(this.queue.element);
    else this.link.before(this.queue.element);
  }

  #transport() {
    const session = this.#session;
    const step = (ticks) => () => {
      if (this.player.playing) this.player.pause();
      session.seek(session.tick + ticks);
    };
    this.play = iconButton("play", "Play", () => this.player.toggle(), { key: "Space", class: "icon-button play" });
    this.mute = iconButton("sound", "Mute", () => {
      this.player.muted = !this.player.muted;
      setIcon(this.mute, this.player.muted ? "muted" : "sound", this.player.muted ? "Sound on" : "Mute");
    });
    this.mute.hidden = !session.state.audio;
    this.volume = el("input", {
      type: "range",
      class: "volume",
      min: 0,
      max: 1,
      step: 0.05,
      value: 1,
      "aria-label": "Volume",
      hidden: !session.state.audio,
      oninput: () => {
        this.player.volume = this.volume.valueAsNumber;
        this.volume.style.setProperty("--filled", this.volume.value);
      },
    });
    this.volume.style.setProperty("--filled", 1);
    this.meter = el("meter", {
      class: "level",
      min: 0,
      max: 1,
      hidden: !session.peaks.length,
      title: "Level of the sound, down to -48 dB",
      "aria-label": "Level of the sound",
    });
    this.loop = iconButton("loop", "Loop", () => {
      this.player.loop = !this.player.loop;
      this.loop.setAttribute("aria-pressed", this.player.loop);
    }, { "aria-pressed": false });
    this.speed = el(
      "select",
      {
        class: "speed",
        title: "Speed (J, K, L)",
        "aria-label": "Speed",
        onchange: () => (this.player.rate = Number(this.speed.value)),
      },
      SPEEDS.map((rate) => el("option", { value: rate }, `${rate}×`)),
    );
    this.time = el("span", { class: "time" });
    this.speed.value = "1";
    const many = session.times.length;
    return el(
      "section",
      { class: "transport", "aria-label": "Playback" },
      iconButton("first", "First frame", step(-many), { key: "Home" }),
      iconButton("previous", "Frame back", step(-1), { key: "←" }),
      this.play,
      iconButton("next", "Frame on", step(1), { key: "→" }),
      iconButton("last", "Last frame", step(many), { key: "End" }),
      this.mute,
      this.volume,
      this.meter,
      this.loop,
      this.speed,
      this.time,
      el("span", { class: "spring" }),
      this.listen.element,
    );
  }

  #tell() {
    const { times, tick, state, peaks } = this.#session;
    if (peaks.length) {
      const at = Math.floor((this.player.time / this.timeline.end) * peaks.length);
      const reach = Math.max(1, Math.round((METER_SECONDS / this.timeline.end) * peaks.length));
      this.meter.value = level(peaks, Math.max(0, at - reach + 1), at + 1);
    }
    this.time.replaceChildren(
      el("strong", {}, clock(this.player.time)),
      ` / ${clock(this.timeline.end)}`,
      el("span", { class: "tick" }, `frame ${tick + 1} of ${times.length}`),
      el("span", { class: "tick code" }, timecode(times[tick], state.source_fps)),
    );
  }

  #update() {
    const { state, connected } = this.#session;
    if (document.activeElement !== this.name) this.name.value = state.name;
    document.title = `${state.name} – AuralSAM2 Studio`;
    this.undo.disabled = !state.undo;
    this.redo.disabled = !state.redo;
    this.element.dataset.link = connected ? "open" : "lost";
    this.link.hidden = connected || !this.wasConnected;
    this.wasConnected ||= connected;
    setIcon(this.play, this.player.playing ? "pause" : "play", this.player.playing ? "Pause" : "Play", "Space");
    const rate = String(this.player.rate);
    if (this.speed.value !== rate) {
      if (![...this.speed.options].some((option) => option.value === rate)) {
        this.speed.append(el("option", { value: rate }, `${rate}×`.replace("-", "−")));
      }
      this.speed.value = rate;
    }
    this.#tell();
  }
}

/** The switch of the theme. */
export function themeButton() {
  return iconButton("theme", "Dark or light", () => window.toggleTheme());
}
