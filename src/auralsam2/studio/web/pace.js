// How long a run takes: estimated from the masks a second of earlier runs with the same model.

import { loadedModel } from "./api.js";

const KEY = "auralsam2-pace";

function paces() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

/** Keep the pace of a run from its progress {done, total, eta}. */
export function learnPace({ done, total, eta }) {
  if (done < 1 || done >= total || !(eta > 0)) return;
  localStorage.setItem(KEY, JSON.stringify({ ...paces(), [loadedModel()]: eta / (total - done) }));
}

/** Seconds in words. */
export function inWords(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

/** The size of a run in words, with its time if there was a run before. */
export function estimate(frames, objects) {
  const pace = paces()[loadedModel()];
  const masks = [`${frames} ${frames === 1 ? "frame" : "frames"}`, objects > 1 ? ` of ${objects} objects` : ""].join("");
  return pace > 0 ? `${masks}, about ${inWords(frames * Math.max(1, objects) * pace)}` : masks;
}
