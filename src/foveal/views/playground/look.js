// Light and dark: the system's choice, or one's own.

const onTheme = [];

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  for (const redraw of onTheme) redraw();
}

function isDark() {
  const own = document.documentElement.dataset.theme;
  return own ? own === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function startLook() {
  const kept = remembered("theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  const button = byId("theme");
  if (button) {
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      remember("theme", theme);
      setTheme(theme);
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(""));
  const select = byId("language");
  if (select) {
    select.value = language;
    select.addEventListener("change", () => setLanguage(select.value));
  }
  translate();
}
