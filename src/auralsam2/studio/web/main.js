// Shows the start page, or the editor of the session in the address.

import { get } from "./api.js";
import { el } from "./dom.js";
import { Editor } from "./editor.js";
import { Session } from "./session.js";
import { Start } from "./start.js";
import { fail } from "./toast.js";

const root = document.getElementById("studio");
let screen = null;
let latest = 0;

function show(next) {
  screen?.close();
  screen = next;
  root.replaceChildren(next.element);
}

async function route() {
  const turn = ++latest;
  const id = location.hash.slice(1);
  try {
    const studio = await get("/api/state");
    if (turn !== latest) return;
    if (!id) {
      document.title = "AuralSAM2 Studio";
      show(new Start(studio, (opened) => (location.hash = opened)));
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
    show(new Editor(session, studio));
  } catch (error) {
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
    const studio = await get("/api/state").catch(fail);
    if (!studio) return;
    history.replaceState(null, "", "#");
    show(new Start(studio, (opened) => (location.hash = opened)));
  }
  screen.take(file);
}

// The server puts its session into the query, which it can read; the page uses the hash.
const begun = new URLSearchParams(location.search).get("open");
if (begun) history.replaceState(null, "", `/#${begun}`);

window.addEventListener("hashchange", route);
window.addEventListener("dragover", dragged);
window.addEventListener("dragleave", dragged);
window.addEventListener("drop", dropped);
route();
