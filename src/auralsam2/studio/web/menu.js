// The parts of a menu: its button, its keys, and its end by a press elsewhere.

import { el } from "./dom.js";

/** The button that opens a menu. */
export function menuButton(properties, ...content) {
  return el("button", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false", ...properties }, ...content);
}

/** Move the focus between the items of a menu with the arrow keys; Escape closes it and focuses its button. */
export function menuKey(event, items, button, close) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) items.at((items.indexOf(document.activeElement) + step) % items.length)?.focus();
  else if (event.key === "Escape") {
    close();
    button.focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Close a menu at a press outside of its element. */
export function closeOutside(element, close, signal) {
  document.addEventListener("pointerdown", (event) => element.contains(event.target) || close(), { signal });
}
