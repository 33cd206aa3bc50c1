// Playback: the audio comes from the video file or a copy of its audio, and the displayed tick follows its clock.

import { media } from "./api.js";
import { note } from "./toast.js";

const EARLY = 0.1; // seconds
const MOST_RATE = 8;

/** Events: `play` (started or stopped), `time` (the playhead moved between ticks). */
export class Player extends EventTarget {
  time = 0;
  loop = false;
  #rate = 1;
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

  /** Rate of playback: 1 is the video's own; negative rates play backward, without sound. */
  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.#rate = rate;
    if (this.playing) this.#playFrom(this.time);
    this.dispatchEvent(new Event("play"));
  }

  /** Loudness in [0, 1]. */
  set volume(volume) {
    this.#media.volume = volume;
  }

  /** Play forward or backward; again in the same direction doubles the rate. */
  shuttle(direction) {
    const again = this.playing && Math.sign(this.#rate) === direction;
    this.rate = again ? Math.max(-MOST_RATE, Math.min(MOST_RATE, this.#rate * 2)) : direction;
    if (!this.playing) this.play();
  }

  async play() {
    const { times, tick } = this.#session;
    const [first, last] = this.#session.range;
    const backward = this.#rate < 0;
    const over = backward ? tick <= first : tick >= last;
    const start = times[over ? (backward ? last : first) : Math.max(first, Math.min(last, tick))];
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
    this.#media.playbackRate = Math.max(1 / 16, Math.abs(this.#rate));
    // After the end of the audio, play() would restart it; browsers do not play backward.
    if (this.#rate < 0 || this.#media.error || start >= this.#media.duration) {
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
    else this.#finish();
  }

  get #end() {
    const { times, range, state } = this.#session;
    const last = range[1];
    return last + 1 < times.length ? times[last + 1] : Math.max(times.at(-1), state.duration || 0);
  }

  /** Stop at the end of the range, or play it again. */
  #finish() {
    const { times, range } = this.#session;
    const [from, to] = this.#rate < 0 ? [range[1], range[0]] : range;
    if (!this.loop) {
      this.pause();
      if (this.#session.tick !== to) this.#session.seek(to);
      return;
    }
    this.time = times[from];
    this.#session.seek(from);
    this.#playFrom(times[from]);
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#follow());
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
      ? this.#silent.start + (this.#rate * (performance.now() - this.#silent.since)) / 1000
      : this.#media.currentTime;
    const limited = this.#silent || this.#session.marked;
    const over = this.#rate < 0 ? this.time <= this.#session.times[this.#session.range[0]] : this.time >= this.#end;
    if (over && limited) {
      this.#finish();
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
