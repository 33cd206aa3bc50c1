// The two sliders: both act on the logits in the page; the server only stores their values.

import { el } from "./dom.js";
import { SCORE_OFF } from "./session.js";

function slider(session, { property, label, tip, least, most, step, normal, show }) {
  const value = el("span", { class: "value" });
  const input = el("input", {
    type: "range",
    min: least,
    max: most,
    step,
    value: session[property],
    title: tip,
    "aria-label": label,
    oninput: () => session.slide(property, input.valueAsNumber),
    onchange: () => session.keepSliders(),
    ondblclick: () => {
      session.slide(property, normal);
      session.keepSliders();
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

/** The part of the panel with the sliders. */
export function sliders(session) {
  const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  return el(
    "section",
    { class: "panel-part", "aria-label": "Masks" },
    el("header", {}, el("h2", {}, "Masks")),
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
      property: "score",
      label: "Presence",
      tip: "Hides masks of objects that are probably not there. Double click: off.",
      least: SCORE_OFF,
      most: 20,
      step: 0.5,
      normal: SCORE_OFF,
      show: (value) => (value <= SCORE_OFF ? "off" : `≥ ${signed(value)}`),
    }),
  );
}
