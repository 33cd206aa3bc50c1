// The token of the server: it comes with the address after #, and is stored for this origin, which includes the port.

const KEY = "auralsam2.token";
const SESSION = /^[A-Za-z0-9_-]{22}$/;

/** The stored token, or "". */
export function storedToken() {
  return localStorage.getItem(KEY) ?? "";
}

/** Store a token, given alone or as part of an address. */
export function storeToken(text) {
  const token = /token=([A-Za-z0-9._~-]+)/.exec(text)?.[1] ?? text.trim();
  localStorage.setItem(KEY, token);
}

/** Move the token from the address to the store; the session that the address opens stays in it. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("token")) return;
  storeToken(given.get("token"));
  const opened = given.get("open") ?? "";
  history.replaceState(null, "", SESSION.test(opened) ? `/#${opened}` : "/");
}

/** Call a function when another tab stores a new token. */
export function onNewToken(act, signal = undefined) {
  window.addEventListener("storage", ({ key }) => key === KEY && act(), { signal });
}
