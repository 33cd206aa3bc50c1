// Requests to the server. Every failure becomes an Error whose message can be shown as it is.

const LOST = "The studio does not answer. Is it still running in its terminal?";

async function asked(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error(LOST);
  }
  if (!response.ok) throw Object.assign(new Error(await sentence(response)), { status: response.status });
  return response;
}

async function sentence(response) {
  if (response.status === 403) return "The studio was started anew: open the address that it printed in its terminal.";
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

/** Send JSON; the answer as JSON. */
export async function send(method, path, body = undefined) {
  const headers = { "Content-Type": "application/json" };
  const response = await asked(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** GET as ArrayBuffer, or null where there is nothing. */
export async function bytes(path) {
  const response = await fetch(path);
  return response.status === 200 ? response.arrayBuffer() : null;
}

/**
 * PUT a file, telling how far it is.
 *
 * XMLHttpRequest, because fetch tells nothing of an upload's progress.
 */
export function upload(path, file, { progress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded, event.total);
    request.onload = () => {
      if (request.status < 400) resolve(request.response);
      else reject(new Error(request.response?.error ?? `The studio answered ${request.status}.`));
    };
    // A server that refuses a file closes the connection while it is still being sent.
    request.onerror = () => reject(new Error(`${file.name} could not be sent: the studio closed the connection.`));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
