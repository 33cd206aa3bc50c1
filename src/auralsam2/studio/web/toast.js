// Short messages in the corner: errors remain until closed, notes disappear.

import { el, iconButton } from "./dom.js";

const NOTE_TIME = 5000;
const ERROR_TIME = 12000;
const MOST = 4;

function shelf() {
  return document.getElementById("toasts");
}

function show(kind, text, time) {
  const same = [...shelf().children].find((toast) => toast.dataset.text === text);
  same?.remove();
  const toast = el("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status", dataset: { text } });
  toast.append(el("p", {}, text), iconButton("close", "Dismiss", () => toast.remove()));
  shelf().append(toast);
  while (shelf().children.length > MOST) shelf().firstElementChild.remove();
  setTimeout(() => toast.remove(), time);
}

/** Show an error, with the server's message if there is one. */
export function fail(error) {
  show("error", error instanceof Error ? error.message : String(error), ERROR_TIME);
}

/** Show a note. */
export function note(text) {
  show("note", text, NOTE_TIME);
}
