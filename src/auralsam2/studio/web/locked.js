// The page without a valid token: it asks for the address that the server printed.

import { onNewToken, storedToken, storeToken } from "./access.js";
import { el } from "./dom.js";

export class Locked {
  #end = new AbortController();

  /** @param retry called with a new token in the store */
  constructor(retry) {
    const again = storedToken() !== "";
    const field = el("input", { type: "text", id: "address", autocomplete: "off", spellcheck: false, required: true });
    const send = (event) => {
      event.preventDefault();
      storeToken(field.value);
      retry();
    };
    const title = again ? "The studio was started anew" : "This page is locked";
    const session = location.hash.length > 1 ? " The open session is saved, and opens again." : "";
    this.element = el(
      "div",
      { class: "locked" },
      el("h1", {}, title),
      el(
        "p",
        {},
        "Open the address that ",
        el("code", {}, "auralsam2 studio"),
        ` printed in its terminal, or paste it here.${session}`,
      ),
      el(
        "form",
        { onsubmit: send },
        el("label", { for: "address" }, "Address"),
        field,
        el("button", { type: "submit", class: "primary" }, "Open"),
      ),
    );
    onNewToken(retry, this.#end.signal);
  }

  close() {
    this.#end.abort();
  }
}
