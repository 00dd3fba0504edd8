// Colours: cividis for fields, which all eyes read alike, and the page's own in light and dark.

const CIVIDIS = (
  "00224e 00285b 002e6a 053371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 535a6d " +
  "5a5f6e 61656f 686a71 6f7073 767676 7d7c78 848279 8c8878 938e78 9b9476 a39a74 " +
  "aba072 b4a76f bcae6c c4b468 cdbb63 d5c25e dec958 e7d150 f0d846 f9e03a fee838"
)
  .split(" ")
  .map((c) => [0, 2, 4].map((i) => parseInt(c.slice(i, i + 2), 16)));
/** Functions to call after light and dark changed. */
const onTheme = [];

/** The colour [r, g, b] of a share of the largest value, 0 to 1. */
function cividis(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  return CIVIDIS[low].map((c, i) => Math.round(c + (at - low) * (CIVIDIS[low + 1][i] - c)));
}

/** 256 colours as 768 bytes: for the bytes of a field (value q stands for (q / 255) squared of the largest). */
const CIVIDIS_BYTES = Uint8Array.from(Array.from({ length: 256 }, (_, q) => cividis(q / 255)).flat());

/** A colour of the style sheet by its name, such as colour("--accent"), for canvases. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function isDark() {
  const own = document.documentElement.dataset.theme;
  return own ? own === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  for (const redraw of onTheme) redraw();
}

/** The kept choice of light or dark, the button with id "theme" and the list with id "language". */
function startLook() {
  const kept = remembered("theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  byId("theme")?.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    remember("theme", theme);
    setTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(""));
  const select = byId("language");
  if (select) {
    select.value = language;
    select.addEventListener("change", () => setLanguage(select.value));
  }
  translate();
}
