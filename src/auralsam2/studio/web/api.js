// Requests to the server. Every failure becomes an Error with a message for the user.

import { storedToken } from "./access.js";

const LOST = "The studio does not answer. Is it still running in its terminal?";

let mediaKey = "";
let model = "";

async function asked(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, "X-Token": storedToken() } });
  } catch {
    throw new Error(LOST);
  }
  if (!response.ok) throw Object.assign(new Error(await sentence(response)), { status: response.status });
  return response;
}

async function sentence(response) {
  try {
    return (await response.json()).error ?? `The studio answered ${response.status}.`;
  } catch {
    return `The studio answered ${response.status}.`;
  }
}

/** GET as JSON. */
export async function get(path) {
  return (await asked(path)).json();
}

/** The state of the studio, whose key `media` puts into addresses. */
export async function getStudio() {
  const studio = await get("/api/state");
  mediaKey = studio.media_key;
  model = studio.model.name;
  return studio;
}

/** The name of the model that the studio had when it was asked last. */
export function loadedModel() {
  return model;
}

/** The address of an image, a video or a download, which browsers request without the token. */
export function media(path) {
  return `${path}${path.includes("?") ? "&" : "?"}k=${mediaKey}`;
}

/** Send JSON; resolves to the JSON response. */
export async function send(method, path, body = undefined) {
  const headers = { "Content-Type": "application/json" };
  const response = await asked(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** PUT a file without progress. */
export function sendFile(path, file) {
  return asked(path, { method: "PUT", body: file });
}

/** GET as ArrayBuffer, or null without content. */
export async function bytes(path) {
  const response = await asked(path);
  return response.status === 200 ? response.arrayBuffer() : null;
}

const LOOK_PERIOD = 300;

/**
 * PUT a file and report progress: `progress(sent, all)` in bytes, then `looked(part)` in [0, 1] during the import
 * by the server.
 *
 * XMLHttpRequest, because fetch reports no progress of an upload.
 */
export async function upload(path, query, file, { progress, looked, signal }) {
  const job = letters(22);
  const watched = new AbortController();
  try {
    return await put(`${path}?${new URLSearchParams({ ...query, job })}`, file, {
      progress,
      signal,
      sent: () => watch(job, looked, watched.signal),
    });
  } finally {
    watched.abort();
  }
}

/** Request the progress of a job until it ends. */
async function watch(job, looked, signal) {
  while (!signal.aborted) {
    // The upload itself reports failures.
    const { part } = await get(`/api/arrivals/${job}`).catch(() => ({ part: null }));
    if (part !== null && !signal.aborted) looked(part);
    await new Promise((resolve) => setTimeout(resolve, LOOK_PERIOD));
  }
}

/** Random letters and digits. */
function letters(count) {
  const drawn = crypto.getRandomValues(new Uint8Array(count));
  return [...drawn].map((value) => (value % 36).toString(36)).join("");
}

function put(path, file, { progress, sent, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.setRequestHeader("X-Token", storedToken());
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.upload.onload = sent;
    request.onload = () => {
      if (request.status < 400) resolve(request.response);
      else reject(new Error(request.response?.error ?? `The studio answered ${request.status}.`));
    };
    // A server that rejects a file closes the connection before all of it is sent.
    request.onerror = () => reject(new Error(`${file.name} could not be sent: the studio closed the connection.`));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
