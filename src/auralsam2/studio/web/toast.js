// Short messages in the corner: errors stay until read, notes go by themselves.

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

/** Say what went wrong, in the words of the server where it has some. */
export function fail(error) {
  show("error", error instanceof Error ? error.message : String(error), ERROR_TIME);
}

/** Say something in passing. */
export function note(text) {
  show("note", text, NOTE_TIME);
}
