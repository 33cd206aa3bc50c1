// The sliders of the masks, which act in the page; the server only stores their values.

import { el, iconButton } from "./dom.js";
import { edgeTools } from "./edges.js";
import { SCORE_OFF } from "./session.js";

function slider(session, { property, label, tip, least, most, step, normal, show, stored = true }) {
  const keep = () => stored && session.keepSliders();
  const value = el("span", { class: "value" });
  const input = el("input", {
    type: "range",
    min: least,
    max: most,
    step,
    value: session[property],
    title: tip,
    "aria-label": label,
    oninput: () => session.setView(property, input.valueAsNumber),
    onchange: keep,
    ondblclick: () => {
      session.setView(property, normal);
      keep();
    },
  });
  const update = () => {
    input.value = session[property];
    value.textContent = show(session[property]);
    input.style.setProperty("--filled", (session[property] - least) / (most - least));
    input.setAttribute("aria-valuetext", value.textContent);
  };
  session.addEventListener("look", update);
  update();
  return el("label", { class: "slider", title: tip }, el("span", {}, label, value), input);
}

/** The buttons of the view. */
function views(session) {
  const toggle = (shape, label, property, key) => {
    const click = () => session.setView(property, !session[property]);
    const button = iconButton(shape, label, click, { key, "aria-pressed": false });
    session.addEventListener("view", () => button.setAttribute("aria-pressed", session[property]));
    return button;
  };
  return el(
    "div",
    { class: "group" },
    toggle("solo", "Selected object alone", "solo", "V"),
    session.state.audio ? toggle("sound", "Only what sounds", "onlySounding") : null,
    toggle("pin", "Hide prompts", "promptsHidden", "P"),
  );
}

/** The part of the panel with the sliders. */
export function sliders(session) {
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  return el(
    "section",
    { class: "panel-part", "aria-label": "Masks" },
    el("header", {}, el("h2", {}, "Masks"), views(session)),
    slider(session, {
      property: "threshold",
      label: "Edge",
      tip: "How sure a pixel must be to belong to a mask: left is larger, right is smaller. Double click: 0.",
      least: -8,
      most: 8,
      step: 0.1,
      normal: 0,
      show: signed,
    }),
    slider(session, {
      property: "opacity",
      label: "Opacity",
      tip: "Of the masks on the page. Double click: as usual.",
      least: 0,
      most: 2,
      step: 0.1,
      normal: 1,
      show: (value) => `${Math.round(100 * value)} %`,
      stored: false,
    }),
    slider(session, {
      property: "score",
      label: "Presence",
      tip: "Hides masks of objects that are probably not there. Double click: off.",
      least: SCORE_OFF,
      most: 20,
      step: 0.5,
      normal: SCORE_OFF,
      show: (value) => (value <= SCORE_OFF ? "off" : `≥ ${signed(value)}`),
    }),
    edgeTools(session),
  );
}
