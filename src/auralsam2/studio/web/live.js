// The WebSocket of one session: commands, messages and masks. It reconnects by itself.

import { storedToken } from "./access.js";

const FIRST_WAIT = 300;
const LONGEST_WAIT = 4000;
const NOT_FOUND = 4404; // the server's code for a session that was deleted

/** Events: `open`, `lost`, `gone` (deleted), `news` (detail: the message), `mask` (detail: ArrayBuffer). */
export class Live extends EventTarget {
  #path;
  #socket = null;
  #closed = false;
  #wait = FIRST_WAIT;
  #number = 0;
  #pending = new Map();
  #timer = 0;

  constructor(id) {
    super();
    this.#path = `/api/sessions/${id}/live`;
    this.#connect();
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send a command; resolves to the reply, rejects with the server's message. */
  ask(message) {
    if (!this.connected) return Promise.reject(new Error("Not connected to the studio: try again in a moment."));
    const n = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#pending.set(n, { resolve, reject });
      this.#socket.send(JSON.stringify({ ...message, n }));
    });
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.#path}`, ["auralsam2", `token.${storedToken()}`]);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#wait = FIRST_WAIT;
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lost(code);
    this.#socket = socket;
  }

  #receive(data) {
    if (data instanceof ArrayBuffer) {
      this.dispatchEvent(new CustomEvent("mask", { detail: data }));
      return;
    }
    const message = JSON.parse(data);
    if (message.re === undefined) {
      this.dispatchEvent(new CustomEvent("news", { detail: message }));
      return;
    }
    const waiting = this.#pending.get(message.re);
    this.#pending.delete(message.re);
    if (message.error) waiting?.reject(new Error(message.error));
    else waiting?.resolve(message);
  }

  #lost(code) {
    for (const { reject } of this.#pending.values()) reject(new Error("The connection broke before the answer came."));
    this.#pending.clear();
    if (this.#closed) return;
    if (code === NOT_FOUND) {
      this.#closed = true;
      this.dispatchEvent(new Event("gone"));
      return;
    }
    this.dispatchEvent(new Event("lost"));
    this.#timer = setTimeout(() => this.#connect(), this.#wait);
    this.#wait = Math.min(this.#wait * 1.6, LONGEST_WAIT);
  }
}
