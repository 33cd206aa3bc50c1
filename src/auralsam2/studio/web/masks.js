// Masks in the page within a memory limit, nearest to the playhead first; others are fetched again.

import { bytes } from "./api.js";
import { decode } from "./payload.js";

const BUDGET = 96 * 2 ** 20;
const AHEAD = 10;
const FETCHES = 4;

/** Event: `mask` (detail: the new mask). */
export class Masks extends EventTarget {
  #id;
  #held = new Map();
  #bytes = 0;
  #latest = new Map();
  #arrivals = 0;
  #wanted = [];
  #fetching = new Set();
  #generation = 0;
  #covered = () => false;

  constructor(id) {
    super();
    this.#id = id;
  }

  get(object, tick) {
    return this.#held.get(`${object}/${tick}`) ?? null;
  }

  /** Store a mask; the last one received for an object and tick is kept, whichever is decoded first. */
  async take(buffer, playhead) {
    const view = new DataView(buffer);
    const key = `${view.getUint32(4, true)}/${view.getUint32(8, true)}`;
    const arrival = ++this.#arrivals;
    const generation = this.#generation;
    this.#latest.set(key, arrival);
    const mask = await decode(buffer);
    if (this.#latest.get(key) !== arrival || generation !== this.#generation) return;
    this.#latest.delete(key);
    this.#put(key, mask, playhead);
    this.dispatchEvent(new CustomEvent("mask", { detail: mask }));
  }

  #put(key, mask, playhead) {
    this.#drop(key);
    this.#held.set(key, mask);
    this.#bytes += mask.q.length;
    while (this.#bytes > BUDGET) {
      let [far, distance] = [null, -1];
      for (const [other, { tick }] of this.#held) {
        const away = Math.abs(tick - playhead);
        if (away > distance) [far, distance] = [other, away];
      }
      this.#drop(far);
    }
  }

  #drop(key) {
    const mask = this.#held.get(key);
    if (!mask) return;
    this.#held.delete(key);
    this.#bytes -= mask.q.length;
  }

  /** Drop one mask. */
  drop(object, tick) {
    this.#drop(`${object}/${tick}`);
  }

  /** Drop all masks, since those of the server may differ. */
  clear() {
    this.#generation += 1;
    this.#held.clear();
    this.#latest.clear();
    this.#wanted = [];
    this.#bytes = 0;
  }

  /** Drop masks that the server has deleted. @param covered (object, tick) => whether it has a mask */
  keep(covered) {
    this.#covered = covered;
    for (const [key, { object, tick }] of this.#held) if (!covered(object, tick)) this.#drop(key);
  }

  /** Fetch the masks of these objects at a tick first, then those around it. */
  want(objects, tick, ticks) {
    const near = [tick];
    for (let step = 1; step <= AHEAD; step += 1) near.push(tick + step, ...(step < 4 ? [tick - step] : []));
    this.#wanted = near
      .filter((other) => other >= 0 && other < ticks)
      .flatMap((other) => objects.map((object) => [object, other]))
      .filter(([object, other]) => this.#covered(object, other) && !this.#held.has(`${object}/${other}`));
    this.#fetch(tick);
  }

  #fetch(playhead) {
    while (this.#fetching.size < FETCHES && this.#wanted.length) {
      const [object, tick] = this.#wanted.shift();
      const key = `${object}/${tick}`;
      if (this.#fetching.has(key) || this.#held.has(key)) continue;
      this.#fetching.add(key);
      const generation = this.#generation;
      const fresh = () => generation === this.#generation && !this.#held.has(key) && !this.#latest.has(key);
      bytes(`/api/sessions/${this.#id}/mask/${object}/${tick}.bin`)
        // A mask received over the WebSocket meanwhile is newer.
        .then((buffer) => (buffer && fresh() ? this.take(buffer, playhead) : null))
        .catch(() => null)
        .finally(() => {
          this.#fetching.delete(key);
          this.#fetch(playhead);
        });
    }
  }
}
