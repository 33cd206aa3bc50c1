// Keyboard shortcuts of the editor; text fields keep their keys.

import { copyOn, declareAbsent } from "./actions.js";
import { showHelp } from "./help.js";
import { outdatedTicks, promptedTicks, soundingTicks } from "./ticks.js";
import { TOOLS } from "./tools.js";

const BRUSH_STEP = 1.25;
const ZOOM_STEP = 1.5; // of the timeline

/** Bind the shortcuts of an editor until its session is closed. */
export function listenToKeys(session, editor) {
  const { stage, player, tools, objects, listen, exporting, queue, timeline } = editor;
  const go = (ticks) => {
    if (player.playing) player.pause();
    session.seek(session.tick + ticks);
  };
  const last = session.times.length - 1;
  const withdraw = () => (session.chosen === null ? listen.stop() : session.choose(null));
  const plain = {
    " ": () => player.toggle(),
    ArrowLeft: () => go(-1),
    ArrowRight: () => go(1),
    ArrowUp: () => go(10),
    ArrowDown: () => go(-10),
    Home: () => go(-last),
    End: () => go(last),
    j: () => player.shuttle(-1),
    k: () => player.playing && player.pause(),
    l: () => player.shuttle(1),
    i: () => session.mark("first"),
    o: () => session.mark("last"),
    x: () => session.mark(null),
    s: () => listen.listen.click(),
    c: () => editor.toggleSides(),
    ".": () => session.seekNext(promptedTicks(session), 1),
    ",": () => session.seekNext(promptedTicks(session), -1),
    ">": () => session.seekNext(soundingTicks(session), 1),
    "<": () => session.seekNext(soundingTicks(session), -1),
    g: () => session.seekNext(outdatedTicks(session), 1) || session.seekNext(outdatedTicks(session), -1),
    v: () => session.setView("solo", !session.solo),
    p: () => session.setView("promptsHidden", !session.promptsHidden),
    y: () => copyOn(session),
    q: () => declareAbsent(session),
    "+": () => stage.zoomBy(1.25),
    "=": () => stage.zoomBy(1.25),
    "-": () => stage.zoomBy(0.8),
    f: () => stage.resetZoom(),
    t: () => listen.track.click(),
    n: () => session.begin(),
    h: () => objects.hide(),
    F2: () => objects.rename(),
    Delete: () => objects.remove(),
    Backspace: () => objects.remove(),
    e: () => exporting.toggle(),
    PageUp: () => queue.go(-1),
    PageDown: () => queue.go(1),
    F4: () => queue.mark(),
    z: () => timeline.zoomBy(ZOOM_STEP),
    "[": () => tools.resize(1 / BRUSH_STEP),
    "]": () => tools.resize(BRUSH_STEP),
    "?": () => showHelp(),
    Escape: withdraw,
    ...Object.fromEntries(TOOLS.map(({ name, key }) => [key.toLowerCase(), () => tools.choose(name)])),
    ...Object.fromEntries(
      Array.from("0123456789", (digit) => [digit, () => session.object(+digit) && session.choose(+digit)]),
    ),
  };

  const shifted = { z: () => timeline.zoomBy(1 / ZOOM_STEP), f: () => timeline.fit() };

  document.addEventListener(
    "keydown",
    (event) => {
      if (inDialog()) return;
      const { target } = event;
      if (isField(target)) return;
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) {
        session.undo(key === "y" || event.shiftKey);
      } else if (event.ctrlKey || event.metaKey || event.altKey) return;
      // Where digits need Shift, they choose objects.
      else if (event.shiftKey && /^Digit[1-9]$/.test(event.code) && !/^\d$/.test(key)) {
        objects.labels.apply(Number(event.code.at(-1)) - 1);
      }
      // Menus and sliders use these keys.
      else if (target.matches("input[type=range], [role=menuitem]") && /^(Arrow|Home|End|Escape)/.test(key)) return;
      else if (event.shiftKey && shifted[key]) shifted[key]();
      else if (plain[key]) plain[key]();
      else return;
      event.preventDefault();
    },
    { signal: session.ended },
  );
  // The space bar plays; Enter presses buttons and switches. Browsers press them when the space bar is released.
  document.addEventListener(
    "keyup",
    (event) => event.key === " " && !isField(event.target) && !inDialog() && event.preventDefault(),
    { signal: session.ended },
  );
}

function inDialog() {
  return document.querySelector("dialog[open]") !== null;
}

function isField(element) {
  return element.matches("input[type=text], input[type=number], input[type=search], select, textarea");
}
