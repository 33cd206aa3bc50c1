// Exports of several sessions, one after the other, without opening them in the editor.

import { send } from "./api.js";
import { el } from "./dom.js";
import { download, KINDS } from "./exporting.js";
import { Live } from "./live.js";
import { fail, note } from "./toast.js";

/** Export a session; resolves when the file is written. */
function exported(id, kind) {
  const live = new Live(id);
  return new Promise((resolve, reject) => {
    live.addEventListener("open", () => send("POST", `/api/sessions/${id}/export`, { kind }).catch(reject));
    live.addEventListener("lost", () => reject(new Error("The connection broke during the export.")));
    live.addEventListener("gone", () => reject(new Error("This session was deleted.")));
    live.addEventListener("news", ({ detail }) => {
      if (detail.what !== "export" || detail.kind !== kind) return;
      if (detail.is === "done") resolve();
      if (detail.is === "cancelled") reject(new Error(detail.error ?? "The export was cancelled."));
    });
  }).finally(() => live.close());
}

export class Batch {
  /** @param sessions returns the summaries to export */
  constructor(sessions) {
    this.kind = el(
      "select",
      { "aria-label": "Kind of the export" },
      KINDS.map(([kind, name]) => el("option", { value: kind }, name)),
    );
    this.button = el("button", { type: "button", class: "small" }, "Export all done");
    this.button.addEventListener("click", () => this.#run(sessions()));
    this.element = el("span", { class: "batch" }, this.kind, this.button);
  }

  async #run(sessions) {
    const kind = this.kind.value;
    this.button.disabled = true;
    let failed = 0;
    for (const [at, { id, name }] of sessions.entries()) {
      this.button.textContent = `Exporting ${at + 1} of ${sessions.length}`;
      try {
        await exported(id, kind);
        download(id, kind);
      } catch (error) {
        failed += 1;
        fail(`${name}: ${error.message}`);
      }
    }
    this.button.textContent = "Export all done";
    this.button.disabled = false;
    note(`${sessions.length - failed} of ${sessions.length} exported.`);
  }
}
