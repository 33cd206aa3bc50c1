// Shows the start page, or the editor of the session in the address.

import { takeToken } from "./access.js";
import { get, getStudio } from "./api.js";
import { el } from "./dom.js";
import { Editor } from "./editor.js";
import { Locked } from "./locked.js";
import { Session } from "./session.js";
import { Start } from "./start.js";
import { fail } from "./toast.js";

const LOCKED = 403;
const root = document.getElementById("studio");
let screen = null;
let latest = 0;

function show(next) {
  screen?.close();
  screen = next;
  root.replaceChildren(next.element);
}

function start(studio, sessions) {
  show(new Start(studio, sessions, (opened) => (location.hash = opened)));
}

async function route() {
  takeToken();
  const turn = ++latest;
  const id = location.hash.slice(1);
  try {
    const studio = await getStudio();
    if (turn !== latest) return;
    if (!id) {
      const sessions = await get("/api/sessions");
      if (turn !== latest) return;
      document.title = "AuralSAM2 Studio";
      start(studio, sessions);
      return;
    }
    const session = await Session.open(id);
    if (turn !== latest) {
      session.close();
      return;
    }
    session.addEventListener("gone", () => {
      fail("This session was deleted.");
      location.hash = "";
    });
    session.addEventListener("locked", () => route());
    show(new Editor(session, studio));
  } catch (error) {
    if (turn !== latest) return;
    if (error.status === LOCKED) {
      document.title = "AuralSAM2 Studio";
      show(new Locked(route));
      return;
    }
    fail(error);
    if (id && error.status === 404) location.replace("#");
    else if (!screen) root.replaceChildren(el("p", { class: "broken" }, error.message));
  }
}

// A file dropped anywhere is opened; by default the browser would navigate to it.
function dragged(event) {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  document.body.classList.toggle("dropping", event.type === "dragover");
}

async function dropped(event) {
  dragged(event);
  const [file] = event.dataTransfer.files;
  if (!file) return;
  if (!(screen instanceof Start)) {
    const studio = await getStudio().catch(fail);
    if (!studio) return;
    history.replaceState(null, "", "#");
    start(studio, []);
  }
  screen.take(file);
}

window.addEventListener("hashchange", route);
window.addEventListener("dragover", dragged);
window.addEventListener("dragleave", dragged);
window.addEventListener("drop", dropped);
route();
