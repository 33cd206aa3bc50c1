// Dark or light theme: the system's until the user chooses. Not a module, so that it runs before the first paint.

(() => {
  const key = "auralsam2.theme";
  const chosen = localStorage.getItem(key);
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;

  window.toggleTheme = () => {
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem(key, next);
    window.dispatchEvent(new Event("themechange"));
  };
})();
