// Creates elements. Text is inserted as text, so that no name can become markup.

import { icon } from "./icons.js";

export { icon };

/** An element with properties, attributes, listeners (`onclick` …) and children; null children are left out. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") || name === "role" || name === "for") element.setAttribute(name, String(value));
    else element[name] = value;
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button with an icon, its name for screen readers, and a tooltip with its key. */
export function iconButton(name, label, onclick, { key = null, ...more } = {}) {
  const tip = key ? `${label} (${key})` : label;
  const properties = { type: "button", class: "icon-button", title: tip, "aria-label": label, onclick, ...more };
  return el("button", properties, icon(name));
}

/** Replace the icon and the name of a button. */
export function setIcon(button, name, label, key = null) {
  button.replaceChildren(icon(name));
  button.title = key ? `${label} (${key})` : label;
  button.setAttribute("aria-label", label);
}

/** Seconds as 1:02.4. */
export function clock(seconds, decimals = 1) {
  const tenth = 10 ** decimals;
  const rounded = Math.round(Math.max(0, seconds) * tenth) / tenth;
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - minutes * 60).toFixed(decimals);
  return `${minutes}:${rest.padStart(decimals ? decimals + 3 : 2, "0")}`;
}

/** Seconds as HH:MM:SS:FF at a rate of frames, non-drop; empty without a rate. */
export function timecode(seconds, rate) {
  if (!rate) return "";
  const nominal = Math.round(rate);
  const frame = Math.round(seconds * rate);
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const whole = Math.floor(frame / nominal);
  return [whole / 3600, (whole / 60) % 60, whole % 60, frame % nominal].map(two).join(":");
}

/** Bytes as 3.1 GB, in powers of 1000. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${Number(bytes.toFixed(unit && bytes < 10 ? 1 : 0))} ${units[unit]}`;
}
