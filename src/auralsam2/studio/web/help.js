// The dialog of shortcuts.

import { el, iconButton } from "./dom.js";

export const SHORTCUTS = [
  [
    "Play",
    [
      ["Space", "Play, pause"],
      ["← →", "One frame back, on"],
      ["↑ ↓", "Ten frames on, back"],
      ["Home End", "First, last frame"],
      [", .", "Prompt before, after"],
      ["< >", "Sounding interval before, after"],
      ["G", "Next frame without a current mask"],
      ["J K L", "Back, pause, forward; again: faster"],
      ["I O X", "In point, out point, clear both"],
    ],
  ],
  [
    "Segment",
    [
      ["S", "Listen: find what sounds"],
      ["T", "Track all objects"],
      ["Y", "Copy the mask to the next frame"],
      ["Q", "Not here: this frame, or in to out"],
      ["Esc", "Deselect; then cancel the run"],
    ],
  ],
  [
    "Point",
    [
      ["A", "Add: click"],
      ["R", "Remove: Alt-click, right click"],
      ["B", "Box: drag"],
      ["M", "Brush: paint; Alt erases"],
      ["W", "Eraser"],
      ["D", "Lasso: draw around; Alt removes"],
      ["U", "Polygon: click corners; the first one closes"],
      ["[ ]", "Smaller, larger brush"],
      ["Shift + arrows", "Move a crosshair on the picture"],
      ["Enter", "Click there; with Alt: remove"],
    ],
  ],
  [
    "Objects",
    [
      ["N", "New object"],
      ["1 … 9, 0", "Choose by number"],
      ["H", "Hide, show"],
      ["V", "Show the selected one alone"],
      ["F2", "Rename"],
      ["Shift + 1 … 9", "Give the label of that number"],
      ["Delete", "Delete"],
    ],
  ],
  [
    "Edit",
    [
      ["Ctrl + Z", "Undo"],
      ["Ctrl + Shift + Z", "Redo"],
      ["C", "Original beside"],
      ["+ − F", "Enlarge, reduce, fit the picture"],
      ["Z, Shift + Z, Shift + F", "Enlarge, reduce, fit the timeline"],
      ["P", "Hide or show prompts"],
      ["E", "Export"],
      ["Page Up, Page Down", "Clip before, after"],
      ["F4", "Mark the clip as done, or to do"],
      ["?", "This sheet"],
    ],
  ],
];

/** Show the dialog; Escape or a click outside closes it. */
export function showHelp() {
  if (document.querySelector("dialog.sheet")) return;
  const groups = SHORTCUTS.map(([name, keys]) =>
    el(
      "section",
      {},
      el("h3", {}, name),
      el(
        "dl",
        {},
        keys.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what))),
      ),
    ),
  );
  const close = iconButton("close", "Close", () => sheet.close());
  const sheet = el(
    "dialog",
    { class: "sheet", "aria-label": "Shortcuts", onclose: () => sheet.remove() },
    el("header", {}, el("h2", {}, "Shortcuts"), close),
    el("div", { class: "groups" }, groups),
  );
  sheet.addEventListener("click", (event) => event.target === sheet && sheet.close());
  document.body.append(sheet);
  sheet.showModal();
}

/** Confirm an action that cannot be undone. Resolves to whether it was confirmed. */
export function confirmed(question, action) {
  return new Promise((resolve) => {
    const sheet = el(
      "dialog",
      { class: "question", "aria-label": question, onclose: () => finish() },
      el("p", {}, question),
      el(
        "footer",
        {},
        el("button", { type: "button", onclick: () => sheet.close() }, "Keep"),
        el("button", { type: "button", class: "danger", onclick: () => sheet.close("yes") }, action),
      ),
    );
    const finish = () => {
      sheet.remove();
      resolve(sheet.returnValue === "yes");
    };
    document.body.append(sheet);
    sheet.showModal();
  });
}
