// Decoded frame images in a cache of limited size (least recently used).

import { media } from "./api.js";

const WIDTH = 1280;
const HELD = 48;

/** Address of the image of a tick at a width. */
export function frameAddress(id, tick, width = WIDTH) {
  return media(`/api/sessions/${id}/frame/${tick}.jpg?w=${width}`);
}

export class Frames {
  #id;
  #held = new Map();

  constructor(id) {
    this.#id = id;
  }

  /** The cached image, or null. */
  ready(tick) {
    const entry = this.#held.get(tick);
    return entry?.done ? entry.picture : null;
  }

  /** Resolves to the image. */
  get(tick) {
    let entry = this.#held.get(tick);
    if (!entry) {
      const picture = new Image();
      picture.src = frameAddress(this.#id, tick);
      entry = { picture, done: false };
      entry.coming = picture.decode().then(
        () => {
          entry.done = true;
          return picture;
        },
        (error) => {
          this.#held.delete(tick);
          throw error;
        },
      );
    }
    this.#held.delete(tick);
    this.#held.set(tick, entry);
    if (this.#held.size > HELD) this.#held.delete(this.#held.keys().next().value);
    return entry.coming;
  }

  /** Prefetch images. */
  prefetch(ticks) {
    for (const tick of ticks) this.get(tick).catch(() => null);
  }
}
