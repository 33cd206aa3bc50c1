// Playback: the audio comes from the video file or a copy of its audio, and the displayed tick follows its clock.

import { media } from "./api.js";
import { note } from "./toast.js";

const EARLY = 0.1; // seconds

/** Events: `play` (started or stopped), `time` (the playhead moved between ticks). */
export class Player extends EventTarget {
  time = 0;
  #session;
  #media;
  #frame = 0;
  #silent = null; // {start, since} where there is no sound, or none that the browser can play

  constructor(session) {
    super();
    this.#session = session;
    this.#media = document.createElement("video");
    this.#media.preload = "auto";
    this.#media.playsInline = true;
    this.#media.src = media(`/api/sessions/${session.id}/sound`);
    this.#media.addEventListener("ended", () => this.#ended());
    this.#media.addEventListener("error", () => this.#unplayable());
    session.addEventListener("tick", () => this.#moved());
    this.time = session.times[0];
  }

  get muted() {
    return this.#media.muted;
  }

  set muted(off) {
    this.#media.muted = off;
  }

  get playing() {
    return this.#session.playing;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  async play() {
    const { times, tick } = this.#session;
    const start = tick >= times.length - 1 ? times[0] : times[tick];
    this.#session.playing = true;
    this.#session.seek(this.#session.tickAt(start));
    this.dispatchEvent(new Event("play"));
    await this.#playFrom(start);
    cancelAnimationFrame(this.#frame);
    if (this.playing) this.#follow();
  }

  pause() {
    cancelAnimationFrame(this.#frame);
    this.#media.pause();
    this.#session.playing = false;
    this.time = this.#session.times[this.#session.tick];
    this.dispatchEvent(new Event("play"));
    this.dispatchEvent(new Event("time"));
  }

  close() {
    this.pause();
    this.#media.removeAttribute("src");
    this.#media.load();
  }

  async #playFrom(start) {
    // After the end of the audio, play() would restart it.
    if (this.#media.error || start >= this.#media.duration) {
      this.#media.pause();
      this.#playSilently(start);
      return;
    }
    this.#silent = null;
    this.#media.currentTime = start;
    try {
      await this.#media.play();
    } catch (error) {
      if (error.name !== "AbortError") this.#playSilently(start);
    }
  }

  /** The audio may end before the video. */
  #ended() {
    if (!this.playing) return;
    if (this.#media.currentTime < this.#end - EARLY) this.#playSilently(this.#media.currentTime);
    else this.pause();
  }

  get #end() {
    return Math.max(this.#session.times.at(-1), this.#session.state.duration || 0);
  }

  #playSilently(start) {
    this.#silent = { start, since: performance.now() };
  }

  #unplayable() {
    if (!this.#media.getAttribute("src") || !this.#session.connected) return;
    if (this.playing) this.#playSilently(this.time);
    if (this.#session.state.audio) note("This browser cannot play the sound of this file: it plays without.");
  }

  #follow() {
    this.time = this.#silent
      ? this.#silent.start + (performance.now() - this.#silent.since) / 1000
      : this.#media.currentTime;
    if (this.time >= this.#end && this.#silent) {
      this.pause();
      return;
    }
    this.#session.seek(this.#session.tickAt(this.time));
    this.dispatchEvent(new Event("time"));
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  /** During playback, move the audio to a playhead that was moved elsewhere. */
  #moved() {
    const { tick, times } = this.#session;
    const here = this.#session.tickAt(this.time);
    if (this.playing && Math.abs(here - tick) > 1) this.#playFrom(times[tick]);
    if (!this.playing || Math.abs(here - tick) > 1) this.time = times[tick];
    this.dispatchEvent(new Event("time"));
  }
}
